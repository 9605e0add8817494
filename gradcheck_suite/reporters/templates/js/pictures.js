// The pictures of one case: function and derivative, the error along the float line, two-dimensional maps.
const names = ["f", "f′", "f″"], called = ["f, the value", "f′, its derivative", "f″, the second"], directions = ["forward", "backward", "double-backward"];

function columns(data, curve) {
  const exact = curve.exact.map(number);
  return {
    probe: curve.probe, held: curve.held, x: data.axes[curve.axis].map(number), exact, ulp: curve.ulp.map(number),
    got: exact.map((value, i) => (i in curve.got ? number(curve.got[i]) : value)), // stated only where it differs
  };
}

function canvas(figure, height) {
  const width = Math.max(240, figure.clientWidth - 26);
  return { width, node: svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, figure) };
}

function polyline(points) {
  let text = "", pen = false;
  for (const [x, y] of points) {
    if (Number.isFinite(y)) text += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = Number.isFinite(y);
  }
  return text;
}

function shift(part, x, visible) {
  part.setAttribute("visibility", visible ? "visible" : "hidden");
  if (visible) part.setAttribute("transform", `translate(${x})`);
}

function drawCase(box, data, item, options) {
  box.replaceChildren();
  const quiet = [];
  for (const curve of item.curves) {
    const { probe } = curve, values = columns(data, curve), most = Math.max(0, ...values.ulp.filter((ulp) => !Number.isNaN(ulp)));
    // A further picture is worth its room only where something happens along it.
    if (curve !== item.curves[0] && most <= 1 && item.regions.every((r) => r.probe !== probe || r.severity === "info")) {
      quiet.push(`${probe}${curve.held ? ` (${curve.held})` : ""}`);
      continue;
    }
    const cursor = new Cursor(values.x.length, (i) => [
      [probe, decimal(values.x[i], 9)], ["computed", decimal(values.got[i], 4)], ["exact", decimal(values.exact[i], 4)],
      ["error", Number.isNaN(values.ulp[i]) ? "not judged" : decimal(values.ulp[i], 3) + " ULP"],
    ]);
    box.append(cursor.line);
    const main = curve === item.curves[0];
    if (main) drawFunctions(box, alongside(data, item, curve), values, cursor, item.regions.filter((r) => r.probe === probe && r.severity !== "info"));
    new ErrorPicture(box, item, item.regions.filter((r) => r.probe === probe), values, cursor, options, main ? "" : "wide");
    cursor.set(startOf(values, options.limit));
  }
  // What is known of other probes than those with curves shares one axis.
  const others = item.regions.filter((r) => item.curves.every((curve) => curve.probe !== r.probe));
  if (others.length) new ErrorPicture(box, item, others, { probe: "", held: "", x: [], ulp: [] }, new Cursor(0), options, "wide");
  if (item.grid?.words.some((word) => mapLevels[word] !== "good" && word !== "undefined")) drawMap(box, item.grid);
  else if (item.grid) quiet.push(`pairs of ${item.grid.xProbe} and ${item.grid.yProbe}`);
  if (quiet.length) box.append(element("p", { className: "quiet muted", textContent: `Nothing is wrong along ${quiet.join(", nor along ")}.` }));
}

// Where a cursor stands at first: at the largest error of ordinary inputs, where one is too large, else of all.
function startOf({ x, ulp }, limit) {
  const worst = (fits) => ulp.reduce((best, error, i) => (!Number.isNaN(error) && fits(Math.abs(x[i])) && !(error <= ulp[best]) ? i : best), -1);
  const common = worst((size) => size >= 1e-4 && size <= 1e4), most = Math.max(0, worst(() => true));
  return ulp[common] > limit ? common : ulp[most] > limit ? most : nearest(x, 1);
}

// The curves of value, gradient and second derivative that belong beside a case's own.
function alongside(data, item, curve) {
  return directions.flatMap((direction, order) => {
    const fits = (other) => other.direction === direction && other.dtype === item.dtype && other.variant === item.variant;
    const twins = data.cases.filter(fits);
    const twin = twins.includes(item) ? item : twins.find((other) => other.wrt === item.wrt) || twins[0];
    const along = twin?.curves.find((other) => other.probe === curve.probe);
    return along ? [{ order, ...columns(data, along) }] : [];
  });
}

function lineKey(order) {
  const swatch = svg("svg", { width: 18, height: 10, viewBox: "0 0 18 10", "aria-hidden": "true" });
  for (const name of ["exact", "got"]) svg("path", { class: `${name} f${order}`, d: "M2 5H16" }, swatch);
  return swatch;
}

// Behind a curve, where something is wrong with it.
function bands(node, regions, place, [left, right], [top, bottom]) {
  for (const { lo, hi, severity } of regions.filter((r) => r.on)) {
    const a = Math.max(left, Math.min(right, place(lo))), b = Math.max(left, Math.min(right, place(hi)));
    if (b - a > 0.5) svg("rect", { class: "band " + severity, x: a, width: b - a, y: top, height: bottom - top }, node);
  }
}

// As a textbook draws them: linear axes around 0, the exact curve wide and pale, torch's thin upon it.
function drawFunctions(box, series, values, cursor, regions) {
  const [from, to] = window(values.x), figure = element("figure"), inside = (x) => x >= from && x <= to;
  const keys = series.map((s) => element("span", { className: "key" }, lineKey(s.order), ` ${called[s.order]}`));
  figure.append(element("figcaption", {}, element("b", { textContent: "what it computes" }), ...keys, element("span", { className: "muted", textContent: "wide: exact, thin: computed" + (values.held && `; ${values.held}`) })));
  box.append(figure);
  const { width, node } = canvas(figure, 300), left = 44, right = width - 24, top = 12, bottom = 276;
  const [low, high] = heights(series.map((s) => s.exact.filter((y, i) => inside(s.x[i]) && Number.isFinite(y))));
  const px = (x) => left + ((right - left) * (x - from)) / (to - from);
  const py = (y) => Math.max(top - 6, Math.min(bottom + 6, bottom - ((bottom - top) * (y - low)) / (high - low)));
  bands(node, regions.map((r) => ({ ...r, lo: number(r.lo), hi: number(r.hi) })), px, [left, right], [top, bottom]);
  for (const y of roundNumbers(low, high, 5)) {
    svg("line", { x1: left, x2: right, y1: py(y), y2: py(y), class: y ? "axis" : "zero" }, node);
    svg("text", { x: left - 6, y: py(y) + 4, "text-anchor": "end" }, node, decimal(y, 3));
  }
  for (const x of roundNumbers(from, to, width < 400 ? 4 : 8)) {
    svg("line", { y1: top, y2: bottom, x1: px(x), x2: px(x), class: x ? "axis" : "zero" }, node);
    svg("text", { x: px(x), y: 294, "text-anchor": "middle" }, node, decimal(x));
  }
  const ends = [];
  for (const s of series) {
    const keep = [...s.x.keys()].filter((i) => inside(s.x[i]));
    svg("path", { class: "exact f" + s.order, d: polyline(keep.map((i) => [px(s.x[i]), py(s.exact[i])])) }, node);
    svg("path", { class: "got f" + s.order, d: polyline(keep.map((i) => [px(s.x[i]), Number.isFinite(s.got[i]) ? py(s.got[i]) : NaN])) }, node);
    for (const i of keep.filter((k) => !Number.isFinite(s.got[k]) && Number.isFinite(s.exact[k]))) svg("circle", { class: "bad", r: 3, cx: px(s.x[i]), cy: py(s.exact[i]) }, node);
    if (!keep.length) continue;
    let y = py(s.exact[keep.at(-1)]) + 4;
    while (ends.some((other) => Math.abs(other - y) < 14)) y += y > 150 ? -14 : 14;
    ends.push(y);
    svg("text", { class: "name f" + s.order, x: px(s.x[keep.at(-1)]) + 4, y }, node, names[s.order]);
  }
  const line = svg("line", { class: "cursor", y1: top, y2: bottom }, node);
  cursor.listen(figure, (i) => shift(line, px(values.x[i]), inside(values.x[i])));
  const places = values.x.map(px);
  steer(figure, node, cursor, "cursor over the function along " + values.probe, (x) => nearest(places, x), (key) => key in keySteps ? cursor.at + keySteps[key] : undefined);
}

// From -8 to 8, or what an op with a narrow domain has of it.
function window(xs) {
  const inner = xs.filter((x) => Math.abs(x) <= 8), low = Math.min(...inner), high = Math.max(...inner);
  if (!(high - low > 0 && high - low < 6)) return [-8, 8];
  return [low - (high - low) * 0.1, high + (high - low) * 0.1];
}

// From the lowest to the highest value. A pole would flatten the rest, so that its last hundredths are cut off; and
// so is what a derivative has beyond several times the heights of the function itself.
function heights(groups) {
  const ends = (values) => {
    const sorted = [...values].sort((a, b) => a - b), at = (share) => sorted[Math.round(share * (sorted.length - 1))] || 0;
    const pole = at(1) - at(0) > 20 * (at(0.97) - at(0.03)) && at(0.97) > at(0.03);
    return [Math.min(0, at(pole ? 0.03 : 0)), Math.max(0, at(pole ? 0.97 : 1))];
  };
  let [low, high] = ends(groups.flat());
  const [least, most] = ends(groups.find((values) => values.length) || []);
  if (most > least && high - low > 8 * (most - least)) [low, high] = [Math.max(low, 3 * least - most), Math.min(high, 3 * most - least)];
  const pad = (high - low) * 0.06 || 1;
  return [low - pad, high + pad];
}

const nearest = (places, x) => places.reduce((best, place, i) => (Math.abs(place - x) < Math.abs(places[best] - x) ? i : best), 0);

class ErrorPicture {
  constructor(box, item, regions, values, cursor, options, shape) {
    Object.assign(this, { values, cursor, options, dtype: item.dtype, emax: emaxes[item.dtype] || 1023 });
    this.figure = element("figure", { className: shape });
    const along = regions.map((r) => ({ ...r, lo: number(r.lo), hi: number(r.hi) })).filter((r) => !Number.isNaN(r.lo));
    this.regions = along.filter((r) => r.severity !== "info");
    this.remarks = along.filter((r) => r.severity === "info");
    // Counts, scales and probabilities need no more of the line than they have.
    const shown = this.regions.length ? this.regions : along;
    const seen = [...values.x, ...shown.flatMap((r) => [r.lo, r.hi])].map((x) => this.place(x));
    this.whole = { from: Math.max(-1, Math.min(-0.01, ...seen) - 0.02), to: Math.min(1, Math.max(0.02, ...seen) + 0.02) };
    Object.assign(this, this.whole);
    box.append(this.figure);
    box.addEventListener("zoom", (event) => {
      const region = this.regions.find((r) => r.id === event.detail);
      if (region) this.zoom(region);
    });
    this.draw();
  }
  place(x) { return (this.options.even() ? even : stretched)(x, this.emax); }
  sx(x) { return this.left + ((this.right - this.left) * (this.place(x) - this.from)) / (this.to - this.from); }
  zoom(region) {
    const from = this.place(region.lo), to = this.place(region.hi), pad = Math.max((to - from) * 0.35, 0.004);
    Object.assign(this, { from: Math.max(this.whole.from, from - pad), to: Math.min(this.whole.to, to + pad) });
    this.draw();
    this.figure.scrollIntoView({ block: "nearest" });
  }
  caption() {
    const button = (text, pressed, act) => {
      const made = element("button", { type: "button", textContent: text, ariaPressed: String(pressed) });
      made.addEventListener("click", act);
      return made;
    };
    const evenly = this.options.even(), buttons = [
      button("1e-4 to 1e4 stretched", !evenly, () => this.options.choose("")), button("even", evenly, () => this.options.choose("even")),
    ];
    if (this.from > this.whole.from || this.to < this.whole.to) buttons.push(button("whole line", false, () => {
      Object.assign(this, this.whole);
      this.draw();
    }));
    const { probe, held, x } = this.values, title = x.length ? `error in ULP along ${probe === "input" ? "the float line" : probe}` : "regions along the numbers that their labels name";
    const note = held ? [element("span", { className: "muted", textContent: held })] : [];
    return element("figcaption", {}, element("b", { textContent: title }), ...note, ...buttons);
  }
  draw() {
    const { values, cursor, figure } = this;
    cursor.forget(figure);
    figure.replaceChildren(this.caption());
    this.left = 60;
    this.right = Math.max(240, figure.clientWidth - 26) - 14;
    this.top = 14;
    this.bottom = values.x.length ? 236 : 20;
    const { bars, lanes } = this.lanes(), { node } = canvas(figure, this.bottom + 28 + lanes * 30 + (this.remarks.length ? 18 : 0));
    if (values.x.length) bands(node, this.regions, (x) => this.sx(x), [this.left, this.right], [this.top, this.bottom]);
    if (values.x.length) this.grid(node);
    svg("line", { class: "zero", x1: this.left, x2: this.right, y1: this.bottom, y2: this.bottom }, node);
    for (const tick of ticks(this.dtype, (x) => this.sx(x), this.left, this.right)) {
      svg("line", { class: "axis", x1: tick.at, x2: tick.at, y1: this.bottom, y2: this.bottom + 5 }, node);
      svg("text", { x: tick.at, y: this.bottom + 17, "text-anchor": "middle" }, node, tick.label);
    }
    const screen = values.x.map((x) => this.sx(x));
    if (values.x.length) this.dots(node, screen);
    for (const bar of bars) this.bar(node, bar);
    this.remarkBars(node, this.bottom + 28 + lanes * 30);
    if (!values.x.length) return;
    const line = svg("line", { class: "cursor", y1: this.top, y2: this.bottom }, node), mark = svg("circle", { class: "mark", r: 3.5 }, node);
    cursor.listen(figure, (i) => {
      for (const part of [line, mark]) shift(part, screen[i], this.visible(screen[i]));
      mark.setAttribute("cy", Number.isNaN(values.ulp[i]) ? this.bottom : this.sy(values.ulp[i]));
    });
    steer(figure, node, cursor, "cursor over the error along " + values.probe, (x) => nearest(screen, x), (key) => key in keySteps ? cursor.at + keySteps[key] : undefined);
    cursor.set(cursor.at);
  }
  within(region) { return this.sx(region.hi) >= this.left && this.sx(region.lo) <= this.right; }
  // What counts as no defect shares one lane without labels; the list below the picture names it.
  remarkBars(node, y) {
    for (const region of this.remarks.filter((r) => this.within(r))) {
      const a = Math.max(this.left, this.sx(region.lo)), b = Math.max(a + 2, Math.min(this.right, this.sx(region.hi)));
      svg("title", {}, svg("path", { class: "bar info", d: `M${a} ${y}H${b}v8H${a}z` }, node), `remark: ${region.kind}: ${region.text}`);
    }
    if (this.remarks.length) svg("text", { x: this.left - 6, y: y + 8, "text-anchor": "end" }, node, "remarks");
  }
  visible(at) { return at >= this.left - 1 && at <= this.right + 1; }
  // The vertical axis is logarithmic; what is below 1 ULP shares the lowest strip, and inf has a line at the top.
  grid(node) {
    const { ulp } = this.values, infinite = ulp.includes(Infinity), most = Math.max(this.options.limit, ...ulp.filter(Number.isFinite));
    const high = Math.log10(most) + 0.2, ceiling = this.top + (infinite ? 22 : 0), one = this.bottom - 30;
    this.sy = (u) => {
      if (u === Infinity) return this.top + 4;
      const log = Math.log10(Math.max(u, 0.05));
      return log < 0 ? this.bottom - (30 * (log + 1.3)) / 1.302 : one - ((one - ceiling) * log) / high;
    };
    const mark = (y, label) => svg("text", { x: this.left - 6, y: y + 4, "text-anchor": "end" }, node, label);
    for (let k = 0; k <= high; k += Math.max(1, Math.ceil(high / 5))) {
      const y = this.sy(10 ** k);
      svg("line", { class: "axis", x1: this.left, x2: this.right, y1: y, y2: y }, node);
      mark(y, power(k));
    }
    if (infinite) mark(this.top + 4, "inf");
    mark(this.bottom - 2, "0");
    const limit = this.sy(this.options.limit);
    svg("line", { class: "limit", x1: this.left, x2: this.right, y1: limit, y2: limit }, node);
    svg("text", { class: "halo", x: this.right, y: limit - 5, "text-anchor": "end" }, node, `${this.options.limit} ULP allowed`);
  }
  dots(node, screen) {
    const peaks = new Map(); // the envelope: the highest point of every 7 pixels
    this.values.ulp.forEach((ulp, i) => {
      if (Number.isNaN(ulp) || !this.visible(screen[i])) return;
      const y = this.sy(ulp), slot = Math.round(screen[i] / 7);
      svg("circle", { class: "dot", cx: screen[i].toFixed(1), cy: y.toFixed(1), r: 2 }, node);
      if (!(peaks.get(slot)?.[1] <= y)) peaks.set(slot, [screen[i], y]);
    });
    svg("path", { class: "envelope", d: polyline([...peaks.values()].sort((a, b) => a[0] - b[0])) }, node);
  }
  // Bars that overlap, labels included, go to lanes below each other.
  lanes() {
    const ends = [], bars = this.regions.filter((r) => this.within(r)).map((region) => {
      const a = Math.min(Math.max(this.left, this.sx(region.lo)), this.right - 3), b = Math.max(a + 3, Math.min(this.right, this.sx(region.hi)));
      const text = `${region.kind}: ${region.text}`, room = text.length * 6.3 + 8;
      const side = b + room <= this.right + 12 ? "right" : a - room >= 0 ? "left" : "below";
      const x = { right: b + 5, left: a - 5, below: Math.max(0, Math.min(a, this.right + 12 - room)) }[side];
      const from = { right: a, left: a - room, below: Math.min(a, x) }[side], to = { right: b + room, left: b, below: Math.max(b, x + room) }[side];
      let lane = ends.findIndex((end) => end < from);
      if (lane < 0) lane = ends.push(0) - 1;
      ends[lane] = to + 6;
      return { region, a, b, text, side, x, y: this.bottom + 28 + lane * 30 };
    });
    return { bars, lanes: ends.length };
  }
  bar(node, { region, a, b, text, side, x, y }) {
    for (const edge of [region.lo, region.hi].filter(Number.isFinite).map((value) => this.sx(value)).filter((at) => this.visible(at))) {
      svg("line", { class: "rule", x1: edge, x2: edge, y1: this.top, y2: y }, node);
    }
    const shape = svg("path", { class: "bar " + region.severity, d: `M${a} ${y}H${b}v12H${a}z` }, node);
    svg("title", {}, shape, "zoom to " + text);
    shape.addEventListener("click", () => this.zoom(region));
    svg("text", { class: "label", x, y: side === "below" ? y + 23 : y + 10, "text-anchor": side === "left" ? "end" : "start" }, node, text);
  }
}

const mapLevels = { "": "good", inaccurate: "minor", path: "major", dtype: "major", undefined: "undefined" };

function drawMap(box, grid) {
  const figure = element("figure", { className: "wide" }), across = grid.x.length, down = grid.y.length;
  const key = grid.words.map((word) => {
    const swatch = svg("svg", { width: 14, height: 12 });
    svg("path", { class: mapLevels[word] || "critical", d: "M0 0h14v12h-14z" }, swatch);
    return element("span", { className: "key" }, swatch, " " + (word || "ok"));
  });
  figure.append(element("figcaption", {}, element("b", { textContent: `${grid.yProbe} (up) against ${grid.xProbe} (right)` }), ...key));
  box.append(figure);
  const left = 66, side = Math.min((Math.max(240, figure.clientWidth - 26) - left - 8) / across, Math.max(12, 420 / down)), tall = Math.max(side, Math.min(18, 420 / down));
  const { node } = canvas(figure, down * tall + 34), px = (i) => left + i * side, py = (j) => 6 + (down - 1 - j) * tall;
  for (let j = 0; j < down; j++) {
    for (let i = 0, k; i < across; i = k) { // neighbours of one class make one rectangle
      const word = grid.kind[j * across + i];
      for (k = i + 1; k < across && grid.kind[j * across + k] === word;) k++;
      svg("path", { class: "cell " + (mapLevels[grid.words[word]] || "critical"), d: `M${px(i)} ${py(j)}H${px(k)}v${tall}H${px(i)}z` }, node);
    }
  }
  const spread = (count, room) => [...Array(count).keys()].filter((i) => i % Math.ceil(count / room) === 0);
  for (const i of spread(across, Math.max(2, across * side / 70))) svg("text", { x: px(i + 0.5), y: down * tall + 22, "text-anchor": "middle" }, node, decimal(number(grid.x[i]), 2));
  for (const j of spread(down, 10)) svg("text", { x: left - 6, y: py(j) + tall / 2 + 4, "text-anchor": "end" }, node, decimal(number(grid.y[j]), 2));
  const cursor = new Cursor(across * down, (cell) => [
    [grid.xProbe, decimal(number(grid.x[cell % across]))], [grid.yProbe, decimal(number(grid.y[Math.floor(cell / across)]))], ["class", grid.words[grid.kind[cell]] || "ok"],
    ["error", grid.ulp[cell] === null ? "not judged" : decimal(number(grid.ulp[cell]), 3) + " ULP"],
  ]);
  const frame = svg("rect", { class: "cursor frame", width: side, height: tall }, node);
  cursor.listen(figure, (cell) => frame.setAttribute("transform", `translate(${px(cell % across)} ${py(Math.floor(cell / across))})`));
  const within = (value, count) => Math.max(0, Math.min(count - 1, Math.floor(value)));
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: across, ArrowDown: -across };
  steer(figure, node, cursor, `cursor over the map of ${grid.yProbe} against ${grid.xProbe}`, (x, y) => within(down - (y - 6) / tall, down) * across + within((x - left) / side, across), (pressed) => pressed in steps ? cursor.at + steps[pressed] : undefined);
  figure.append(cursor.line);
  cursor.set((down >> 1) * across + (across >> 1));
}
