"use strict";
(() => {
  const $ = (query, root = document) => root.querySelector(query);
  const $$ = (query, root = document) => [...root.querySelectorAll(query)];
  const root = document.documentElement;
  root.classList.add("scripted");

  // ---- state: everything that is chosen stands in the address
  const form = $("#filters"), opView = $("#op"), summary = $("#summary");
  const fields = ["q", "dtype", "direction", "kind", "severity", "status", "family", "sort", "new"];
  const views = ["op", "case", "finding", "axis"];
  const rank = { critical: 0, major: 1, minor: 2, info: 3 };
  let state = {};
  const read = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const go = (next, replace) => {
    const entries = [...fields, ...views].filter((key) => next[key]).map((key) => [key, next[key]]);
    const hash = "#" + new URLSearchParams(entries);
    if (replace) { history.replaceState(null, "", hash); state = next; } else location.hash = hash;
  };

  // ---- filters
  const matches = (tokens) => tokens.some((token) => {
    const [kind, severity, status] = token.split(":");
    return (!state.kind || kind === state.kind) && (!state.severity || rank[severity] <= rank[state.severity]) &&
      (!state.status || status === state.status) && (!state.new || status === "new");
  });
  const inPlace = (item) => (!state.dtype || item.dataset.t.split(" ").includes(state.dtype)) &&
    (!state.direction || item.dataset.w === state.direction);
  const tokens = (item) => (item.dataset.f || "").split(" ").filter(Boolean);
  const tableRows = $$("#matrix tbody tr").map((row, order) => ({
    row, order, cells: $$("td", row), op: row.dataset.op, family: row.dataset.family, text: row.dataset.text,
  }));
  const hits = (entry) => entry.cells.filter((cell) => inPlace(cell) && matches(tokens(cell)));
  const orders = {
    name: (a, b) => a.op.localeCompare(b.op),
    family: (a, b) => a.family.localeCompare(b.family) || a.order - b.order,
    ulp: (a, b) => b.worst - a.worst || a.order - b.order,
    "": (a, b) => a.gravity - b.gravity || a.order - b.order,
  };
  const number = (text) => text === null ? NaN : Number(String(text).replace("inf", "Infinity"));
  function filter() {
    for (const key of fields) {
      const input = form.elements[key];
      if (key === "new") input.checked = !!state.new; else if (input.value !== (state[key] || "")) input.value = state[key] || "";
    }
    const narrowed = state.kind || state.severity || state.status || state.new, wanted = (state.q || "").toLowerCase();
    const shown = new Set();
    for (const entry of tableRows) {
      const found = hits(entry);
      const visible = entry.text.includes(wanted) && (!state.family || entry.family === state.family) && (!narrowed || found.length > 0);
      entry.row.classList.toggle("off", !visible);
      if (visible) shown.add(entry.op);
      for (const cell of entry.cells) {
        cell.classList.toggle("off", !inPlace(cell));
        cell.classList.toggle("dim", !!narrowed && !found.includes(cell));
      }
      const seen = entry.cells.filter(inPlace), worst = Math.min(9, ...found.flatMap(tokens).map((t) => rank[t.split(":")[1]]));
      entry.gravity = worst * 100 - seen.filter((cell) => rank[cell.className.split(" ")[0]] === worst).length;
      entry.worst = Math.max(-1, ...seen.map((cell) => number(cell.dataset.u)));
    }
    const heads = $$("#matrix thead [data-t]");
    heads.forEach((head) => head.classList.toggle("off", !inPlace(head)));
    for (const group of $$("#matrix .group")) {
      const span = heads.filter((head) => head.dataset.t === group.dataset.dtype && inPlace(head)).length;
      group.classList.toggle("off", !span);
      group.colSpan = span || 1;
    }
    const plain = !state.sort && !state.dtype && !state.direction && !narrowed;
    const order = plain ? (a, b) => a.order - b.order : orders[state.sort || ""];
    $("#matrix tbody").append(...[...tableRows].sort(order).map((entry) => entry.row));
    for (const item of $$(".gravest [data-op]")) item.classList.toggle("off", !(shown.has(item.dataset.op) && inPlace(item) && matches(tokens(item))));
    const more = $("#more");
    if (more && (narrowed || wanted || state.family || state.dtype || state.direction)) more.open = true;
    $("#count").textContent = `${shown.size} of ${tableRows.length} ops`;
    $("#nothing").hidden = shown.size > 0;
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => go({}));
  form.addEventListener("input", () => {
    const next = { ...state };
    for (const key of fields) next[key] = key === "new" ? (form.elements.new.checked ? "1" : "") : form.elements[key].value;
    go(next, true);
    filter();
  });

  // ---- one op, unpacked when it is opened
  const unpacked = new Map();
  async function unpack(name) {
    if (!unpacked.has(name)) {
      const source = $$("script[data-op]").find((script) => script.dataset.op === name);
      if (!source) return null;
      const bytes = Uint8Array.from(atob(source.textContent), (c) => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      unpacked.set(name, JSON.parse(await new Response(stream).text()));
    }
    return unpacked.get(name);
  }
  const element = (tag, props = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), props);
    made.append(...children);
    return made;
  };
  let shownOp = null, current = null;
  async function show() {
    const before = state.op;
    state = read();
    filter();
    const data = state.op ? await unpack(state.op) : null;
    summary.hidden = !!data;
    opView.hidden = !data;
    document.title = (data ? state.op + " - " : "") + "Numerical stability of torch ops";
    if (!data) { shownOp = null; return; }
    if (shownOp !== state.op) {
      shownOp = state.op;
      opView.innerHTML = data.head;
      opView.append(element("div", { id: "case" }));
      window.scrollTo(0, 0);
      if (before !== undefined || !state.finding) opView.focus({ preventScroll: true });
    }
    showCase(data);
  }
  function showCase(data) {
    const first = $("#op [data-case]");
    current = data.cases.find((item) => item.id === state.case) || data.cases.find((item) => first && item.id === first.dataset.case) || data.cases[0];
    const place = (item) => item.dtype + " " + item.direction;
    for (const link of $$("#op [data-place]")) link.toggleAttribute("aria-current", link.dataset.place === place(current));
    const twins = data.cases.filter((item) => place(item) === place(current));
    const head = element("div", { className: "case-head" }, element("h3", { textContent: place(current) }));
    if (twins.length > 1) {
      const choice = element("select", { ariaLabel: "variant" });
      for (const item of twins) {
        const label = (item.variant || "defaults") + (item.wrt ? " by " + item.wrt : "") + ": " + item.word;
        choice.append(element("option", { value: item.id, textContent: label.length > 90 ? label.slice(0, 89) + "…" : label, selected: item === current }));
      }
      choice.addEventListener("change", () => go({ ...state, case: choice.value, finding: "" }));
      head.append(choice);
    } else if (current.variant) head.append(element("code", { className: "clamp", textContent: current.variant }));
    const box = $("#case");
    box.innerHTML = current.html;
    box.prepend(head);
    draw(data);
    if (state.finding) {
      const target = $$("[data-finding]", box).find((item) => item.dataset.finding === state.finding);
      if (target) {
        const folded = target.closest("details");
        if (folded) folded.open = true;
        target.classList.add("here");
        target.scrollIntoView({ block: "center" });
        target.focus({ preventScroll: true });
      }
    }
  }

  // ---- the float line
  const emaxes = { float64: 1023, float32: 127, float16: 15, bfloat16: 127 };
  const limits = { float64: Number.MAX_VALUE, float32: 3.4028234663852886e38, float16: 65504, bfloat16: 3.3895313892515355e38 };
  const log4 = Math.log2(1e4);
  // Places rise with the float ordinal, from -1 at -inf to 1 at inf.
  const even = (x, emax) => {
    const size = Math.abs(x), bottom = 1 - emax;
    if (!size || Number.isNaN(x)) return 0;
    if (size / 2 >= 2 ** emax) return Math.sign(x);
    const exponent = Math.max(bottom, Math.floor(Math.log2(size))), octaves = emax - bottom + 2;
    return Math.sign(x) * (size < 2 ** bottom ? size / 2 ** bottom : exponent - bottom + size / 2 ** exponent) / octaves;
  };
  const stretched = (x, emax) => {
    const log = Math.log2(Math.abs(x)), bottom = 1 - emax;
    if (!x || Number.isNaN(x)) return 0;
    const part = (from, to) => Math.min(1, Math.max(0, (log - from) / (to - from)));
    return Math.sign(x) * (0.08 * part(bottom, -log4) + 0.68 * part(-log4, log4) + 0.24 * part(log4, emax + 1));
  };
  const decimal = (x, digits = 6) => Number.isNaN(x) ? "NaN" : Number.isFinite(x) ? String(+x.toPrecision(digits)).replace("e+", "e") : x > 0 ? "inf" : "-inf";
  const power = (k, sign) => (sign < 0 ? "-" : "") + (k >= -2 && k <= 3 ? decimal(10 ** k) : "1e" + k);
  function ticks(dtype, scale, width) {
    const limit = limits[dtype] || limits.float64, emax = emaxes[dtype] || 1023;
    const wanted = [[0, "0"], [1, "1"], [-1, "-1"], [limit, "max"], [-limit, "-max"]];
    const top = Math.floor(Math.log10(limit)), bottom = Math.ceil((1 - emax) * Math.log10(2));
    for (const step of [64, 32, 16, 8, 4, 2, 1])
      for (let k = 0; k <= Math.max(top, -bottom); k += step)
        for (const sign of [1, -1]) {
          if (k <= top) wanted.push([sign * 10 ** k, power(k, sign)]);
          if (-k >= bottom) wanted.push([sign * 10 ** -k, power(-k, sign)]);
        }
    for (let k = -4; k <= 4; k++) for (const digit of [2, 5, 3, 4, 6, 7, 8, 9, 1.5]) for (const sign of [1, -1]) wanted.push([sign * digit * 10 ** k, decimal(sign * digit * 10 ** k)]);
    const taken = [];
    for (const [x, label] of wanted) {
      const at = scale(x), half = label.length * 3.4 + 5;
      if (at < 0 || at > width || taken.some((other) => Math.abs(other.at - at) < other.half + half)) continue;
      taken.push({ at, half, label });
    }
    return taken;
  }

  // ---- drawing
  const svg = (tag, props, parent, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(props)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };
  const canvas = (figure, height) => {
    const width = Math.max(240, figure.clientWidth - 26);
    return { width, height, node: svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, figure) };
  };
  const path = (points) => {
    let text = "", pen = false;
    for (const [x, y] of points) {
      if (Number.isFinite(y)) text += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = Number.isFinite(y);
    }
    return text || "M0 0";
  };
  function columns(data, curve) {
    const exact = curve.exact.map(number);
    const got = exact.map((value, i) => i in curve.got ? number(curve.got[i]) : value);
    return { x: data.axes[curve.axis].map(number), exact, got, ulp: curve.ulp.map(number) };
  }
  const names = ["f", "f′", "f″"], directions = ["forward", "backward", "double-backward"];

  function draw(data) {
    const box = $("#case .charts"), curve = current.curves[0];
    box.replaceChildren();
    if (!curve && !current.grid) { box.remove(); return; }
    if (curve) {
      const cursor = { at: -1, marks: [], moves: [] };
      const series = directions.map((direction, order) => {
        const twin = data.cases.find((item) => item.direction === direction && item.dtype === current.dtype &&
          item.variant === current.variant && (item === current || direction !== current.direction) && (item.wrt === current.wrt || order === 0 || current.direction === "forward"));
        const along = twin && twin.curves.find((other) => other.probe === curve.probe);
        return along && { order, ...columns(data, along) };
      }).filter(Boolean);
      const values = columns(data, curve);
      const readout = element("p", { className: "readout" });
      box.append(readout);
      textbook(box, series, values, curve.probe, cursor);
      errors(box, values, curve, cursor);
      read0(readout, values, curve, cursor);
      current.curves.slice(1).forEach((other) => {
        const more = { at: -1, marks: [], moves: [] }, along = columns(data, other), line = element("p", { className: "readout" });
        box.append(line);
        errors(box, along, other, more, "wide");
        read0(line, along, other, more);
      });
    }
    if (current.grid) map(box, current.grid);
  }
  // The cursor: one place in the samples, moved by every picture of the case, read out in one line.
  function read0(line, values, curve, cursor) {
    const say = (i) => [
      [curve.probe === "input" ? "input" : curve.probe, decimal(values.x[i], 9)], ["torch", decimal(values.got[i], 4)],
      ["exact", decimal(values.exact[i], 4)], ["error", (Number.isNaN(values.ulp[i]) ? "not judged" : decimal(values.ulp[i], 3) + " ULP")],
    ];
    cursor.text = (i) => say(i).map((pair) => pair.join(" ")).join(", ");
    cursor.set = (i) => {
      cursor.at = Math.max(0, Math.min(values.x.length - 1, i));
      line.replaceChildren(...say(cursor.at).map(([name, value]) => element("span", {}, name + " ", element("b", { textContent: value }))));
      for (const move of cursor.moves) move(cursor.at);
    };
    let worst = 0;
    values.ulp.forEach((ulp, i) => { if (ulp > values.ulp[worst] || Number.isNaN(values.ulp[worst])) worst = i; });
    cursor.set(worst);
  }
  function steer(figure, node, cursor, values, place, label) {
    const nearest = (event) => {
      const box = node.getBoundingClientRect(), at = (event.clientX - box.left) * (node.viewBox.baseVal.width / box.width);
      let best = 0, gap = Infinity;
      values.x.forEach((x, i) => { const d = Math.abs(place(x) - at); if (d < gap) { gap = d; best = i; } });
      cursor.set(best);
    };
    node.addEventListener("pointermove", nearest);
    node.addEventListener("pointerdown", nearest);
    const slider = element("div", { className: "slider", tabIndex: 0, role: "slider", ariaLabel: label, ariaValueMin: 0, ariaValueMax: values.x.length - 1 });
    node.replaceWith(slider);
    slider.append(node);
    slider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -1e9, End: 1e9 }[event.key];
      if (step) { cursor.set(cursor.at + step); event.preventDefault(); }
    });
    cursor.moves.push((i) => { slider.ariaValueNow = i; slider.ariaValueText = cursor.text(i); });
  }
  function nice(low, high, count) {
    const raw = (high - low) / count || 1, unit = 10 ** Math.floor(Math.log10(raw)), step = unit * [1, 2, 5, 10].find((m) => m * unit >= raw);
    const marks = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step / 1e6; v += step) marks.push(+v.toPrecision(8));
    return marks;
  }
  function textbook(box, series, values, probe, cursor) {
    const figure = element("figure"), reach = 8;
    figure.append(element("figcaption", {}, element("b", { textContent: "function and derivative" }), element("span", { className: "muted", textContent: "wide: exact, thin: torch" })));
    box.append(figure);
    const { width, height, node } = canvas(figure, 300), left = 44, right = width - 26, top = 12, bottom = height - 24;
    const inside = (x) => Math.abs(x) <= reach;
    const heights = series.flatMap((s) => s.exact.filter((v, i) => inside(s.x[i]) && Number.isFinite(v))).sort((a, b) => a - b);
    const at = (share) => heights[Math.round(share * (heights.length - 1))] || 0;
    let low = Math.min(0, at(0)), high = Math.max(0, at(1));
    // A pole would flatten everything else: leave out the last hundredth where it is much higher than the rest.
    if (high - low > 20 * (at(0.97) - at(0.03)) && at(0.97) > at(0.03)) { low = Math.min(0, at(0.03)); high = Math.max(0, at(0.97)); }
    const pad = (high - low) * 0.06 || 1;
    low -= pad; high += pad;
    const px = (x) => left + (right - left) * (x + reach) / (2 * reach), py = (y) => bottom - (bottom - top) * (y - low) / (high - low);
    for (const v of nice(low, high, 5)) {
      svg("line", { x1: left, x2: right, y1: py(v), y2: py(v), class: v ? "axis" : "zero" }, node);
      svg("text", { x: left - 6, y: py(v) + 4, "text-anchor": "end" }, node, decimal(v, 3));
    }
    for (const v of nice(-reach, reach, width < 400 ? 4 : 8)) {
      svg("line", { y1: top, y2: bottom, x1: px(v), x2: px(v), class: v ? "axis" : "zero" }, node);
      svg("text", { x: px(v), y: height - 6, "text-anchor": "middle" }, node, decimal(v));
    }
    const clip = (v) => Math.max(top - 6, Math.min(bottom + 6, py(v)));
    const ends = [];
    for (const s of series) {
      const keep = s.x.map((x, i) => i).filter((i) => inside(s.x[i]));
      svg("path", { class: "exact f" + s.order, d: path(keep.map((i) => [px(s.x[i]), clip(s.exact[i])])) }, node);
      svg("path", { class: "got f" + s.order, d: path(keep.map((i) => [px(s.x[i]), Number.isFinite(s.got[i]) ? clip(s.got[i]) : NaN])) }, node);
      for (const i of keep) if (!Number.isFinite(s.got[i]) && Number.isFinite(s.exact[i])) svg("circle", { class: "bad", r: 3, cx: px(s.x[i]), cy: clip(s.exact[i]) }, node);
      const last = keep.at(-1);
      if (last !== undefined) {
        let y = clip(s.exact[last]) + 4;
        while (ends.some((other) => Math.abs(other - y) < 14)) y += y > (top + bottom) / 2 ? -14 : 14;
        ends.push(y);
        svg("text", { class: "name f" + s.order, x: right + 5, y }, node, names[s.order]);
      }
    }
    const line = svg("line", { class: "cursor", y1: top, y2: bottom, visibility: "hidden" }, node);
    cursor.moves.push((i) => {
      line.setAttribute("visibility", inside(values.x[i]) ? "visible" : "hidden");
      line.setAttribute("x1", px(values.x[i])); line.setAttribute("x2", px(values.x[i]));
    });
    steer(figure, node, cursor, values, px, "cursor over function and derivative along " + probe);
  }
  function errors(box, values, curve, cursor, shape = "") {
    const figure = element("figure", { className: shape }), dtype = current.dtype, emax = emaxes[dtype] || 1023;
    box.append(figure);
    const regions = current.regions.filter((region) => region.probe === curve.probe).map((region) => ({ ...region, lo: number(region.lo), hi: number(region.hi) }));
    let window0 = [-1, 1];
    const plot = () => {
      const evenly = state.axis === "even", place = evenly ? even : stretched;
      const button = (text, pressed, act) => {
        const made = element("button", { type: "button", textContent: text, ariaPressed: String(pressed) });
        made.addEventListener("click", () => { act(); plot(); });
        return made;
      };
      cursor.moves = cursor.moves.filter((move) => move.figure !== figure);
      const zoomed = window0[0] > -1 || window0[1] < 1;
      figure.replaceChildren(element("figcaption", {}, element("b", { textContent: "error in ULP along " + (curve.probe === "input" ? "the float line" : curve.probe) }),
        button("1e-4 to 1e4 stretched", !evenly, () => go({ ...state, axis: "" }, true)), button("even", evenly, () => go({ ...state, axis: "even" }, true)),
        ...(zoomed ? [button("whole line", false, () => { window0 = [-1, 1]; })] : [])));
      const lanes = [], left = 44, right0 = Math.max(240, figure.clientWidth - 26) - 12;
      const sx = (x) => left + (right0 - left) * (place(x, emax) - window0[0]) / (window0[1] - window0[0]);
      const bars = regions.filter((r) => !Number.isNaN(r.lo) && sx(r.hi) >= left && sx(r.lo) <= right0).map((region) => {
        let a = Math.max(left, sx(region.lo)), b = Math.min(right0, sx(region.hi));
        if (b - a < 3) { a = Math.min(a, right0 - 3); b = a + 3; }
        const text = region.kind + ": " + region.text.replace(/^x = /, ""), wide = text.length * 6.1 + 8;
        const after = b + wide <= right0 + 8, start = after ? b : a - wide < left ? a : a - wide;
        const inner = !after && a - wide < left;
        const from = Math.min(a, start), to = Math.max(b, after ? b + wide : inner ? a + wide : b);
        let lane = lanes.findIndex((end) => end < from);
        if (lane < 0) lane = lanes.push(0) - 1;
        lanes[lane] = to + 6;
        return { region, a, b, lane, text, x: after ? b + 5 : inner ? a + 4 : a - 5, anchor: after || inner ? "start" : "end", inner };
      });
      const top = 14, bottom = 236, rows = lanes.length, tall = (lane) => bottom + 26 + lane * 30;
      const { width, height, node } = canvas(figure, bottom + 24 + rows * 30);
      const finite = values.ulp.filter(Number.isFinite), most = Math.max(4, ...finite), cap = Math.log10(most) + 0.3;
      const floor = -1.3, infinite = values.ulp.some((u) => u === Infinity);
      const ceiling = top + (infinite ? 20 : 0);
      const sy = (ulp) => ulp === Infinity ? top + 4 : bottom - (bottom - ceiling) * Math.max(0, Math.log10(Math.max(ulp, 10 ** floor)) - floor) / (cap - floor);
      const step = Math.max(1, Math.ceil(cap / 5));
      for (let k = 0; k <= cap; k += step) {
        svg("line", { class: "axis", x1: left, x2: right0, y1: sy(10 ** k), y2: sy(10 ** k) }, node);
        svg("text", { x: left - 6, y: sy(10 ** k) + 4, "text-anchor": "end" }, node, power(k, 1));
      }
      if (infinite) svg("text", { x: left - 6, y: top + 8, "text-anchor": "end" }, node, "inf");
      svg("line", { class: "limit", x1: left, x2: right0, y1: sy(4), y2: sy(4) }, node);
      svg("line", { class: "zero", x1: left, x2: right0, y1: bottom, y2: bottom }, node);
      for (const tick of ticks(dtype, (x) => sx(x) - left, right0 - left)) {
        svg("line", { class: "axis", x1: tick.at + left, x2: tick.at + left, y1: bottom, y2: bottom + 5 }, node);
        svg("text", { x: tick.at + left, y: bottom + 17, "text-anchor": "middle" }, node, tick.label);
      }
      const screen = values.x.map(sx), visible = (i) => screen[i] >= left - 1 && screen[i] <= right0 + 1;
      const peaks = new Map();
      values.ulp.forEach((ulp, i) => {
        if (Number.isNaN(ulp) || !visible(i)) return;
        svg("circle", { class: "dot", cx: screen[i].toFixed(1), cy: sy(ulp).toFixed(1), r: 2 }, node);
        const bucket = Math.round(screen[i] / 7);
        if (!(peaks.get(bucket)?.[1] <= sy(ulp))) peaks.set(bucket, [screen[i], sy(ulp)]);
      });
      svg("path", { class: "envelope", d: path([...peaks].sort((a, b) => a[0] - b[0]).map((pair) => pair[1])) }, node);
      for (const bar of bars) {
        for (const edge of [bar.region.lo, bar.region.hi]) if (Number.isFinite(edge) && sx(edge) > left && sx(edge) < right0) svg("line", { class: "rule", x1: sx(edge), x2: sx(edge), y1: top, y2: tall(bar.lane) }, node);
        const y = tall(bar.lane), shape0 = svg("path", { class: "bar " + bar.region.severity, d: `M${bar.a} ${y}H${bar.b}v12H${bar.a}z` }, node);
        svg("title", {}, shape0, "zoom to " + bar.text);
        shape0.addEventListener("click", () => {
          const from = place(bar.region.lo, emax), to = place(bar.region.hi, emax), pad = Math.max((to - from) * 0.35, 0.004);
          window0 = [Math.max(-1, from - pad), Math.min(1, to + pad)];
          plot();
        });
        svg("text", { class: "label", x: bar.x, y: bar.inner ? y + 23 : y + 10, "text-anchor": bar.anchor }, node, bar.text);
      }
      const line = svg("line", { class: "cursor", y1: top, y2: bottom }, node), mark = svg("circle", { class: "mark", r: 3.5 }, node);
      const move = (i) => {
        const on = visible(i) ? "visible" : "hidden";
        for (const item of [line, mark]) item.setAttribute("visibility", on);
        line.setAttribute("x1", screen[i]); line.setAttribute("x2", screen[i]);
        mark.setAttribute("cx", screen[i]); mark.setAttribute("cy", Number.isNaN(values.ulp[i]) ? bottom : sy(values.ulp[i]));
      };
      move.figure = figure;
      cursor.moves.push(move);
      steer(figure, node, cursor, values, sx, "cursor over the error along " + curve.probe);
      cursor.moves.at(-1).figure = figure;
      if (cursor.at >= 0) cursor.set(cursor.at);
    };
    plot();
  }
  const gridLevels = { "": "cell0", inaccurate: "minor", path: "major", dtype: "major", undefined: "undefined" };
  function map(box, grid) {
    const figure = element("figure", { className: "wide" }), line = element("p", { className: "readout" });
    figure.append(element("figcaption", {}, element("b", { textContent: `${grid.yProbe} against ${grid.xProbe}` }), element("span", { className: "muted", textContent: grid.words.map((word) => word || "ok").join(", ") })), line);
    box.append(figure);
    const columns0 = grid.x.length, rows = grid.y.length, left = 66, side = Math.min((Math.max(240, figure.clientWidth - 26) - left - 8) / columns0, 420 / rows);
    const { node } = canvas(figure, rows * side + 34);
    const px = (i) => left + i * side, py = (j) => 6 + (rows - 1 - j) * side;
    for (let j = 0; j < rows; j++) for (let i = 0, k; i < columns0; i = k) {
      const word = grid.kind[j * columns0 + i];
      for (k = i + 1; k < columns0 && grid.kind[j * columns0 + k] === word; k++);
      const level = gridLevels[grid.words[word]] || "critical";
      svg("path", { class: level, d: `M${px(i)} ${py(j)}H${px(k)}v${side}H${px(i)}z`, ...(level === "undefined" ? { fill: "url(#p-undefined)" } : level === "cell0" ? {} : {}) }, node);
    }
    const spread = (count, room) => [...Array(count).keys()].filter((i) => i % Math.ceil(count / room) === 0);
    for (const i of spread(columns0, 8)) svg("text", { x: px(i + 0.5), y: rows * side + 22, "text-anchor": "middle" }, node, decimal(number(grid.x[i]), 2));
    for (const j of spread(rows, 10)) svg("text", { x: left - 6, y: py(j) + side / 2 + 4, "text-anchor": "end" }, node, decimal(number(grid.y[j]), 2));
    const frame = svg("rect", { class: "cursor", width: side, height: side, fill: "none", "stroke-width": 2 }, node);
    const slider = element("div", { className: "slider", tabIndex: 0, role: "application", ariaLabel: `map of ${grid.yProbe} against ${grid.xProbe}: arrow keys move the cursor` });
    node.replaceWith(slider);
    slider.append(node);
    let at = [columns0 >> 1, rows >> 1];
    const set = (i, j) => {
      at = [Math.max(0, Math.min(columns0 - 1, i)), Math.max(0, Math.min(rows - 1, j))];
      const cell = at[1] * columns0 + at[0], ulp = number(grid.ulp[cell]);
      frame.setAttribute("x", px(at[0])); frame.setAttribute("y", py(at[1]));
      const say = [[grid.xProbe, decimal(number(grid.x[at[0]]))], [grid.yProbe, decimal(number(grid.y[at[1]]))], ["class", grid.words[grid.kind[cell]] || "ok"], ["error", Number.isNaN(ulp) ? "not judged" : decimal(ulp, 3) + " ULP"]];
      line.replaceChildren(...say.map(([name, value]) => element("span", {}, name + " ", element("b", { textContent: value }))));
    };
    const point = (event) => {
      const area = node.getBoundingClientRect(), zoom = node.viewBox.baseVal.width / area.width;
      set(Math.floor(((event.clientX - area.left) * zoom - left) / side), rows - 1 - Math.floor(((event.clientY - area.top) * zoom - 6) / side));
    };
    node.addEventListener("pointermove", point);
    node.addEventListener("pointerdown", point);
    slider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (step) { set(at[0] + step[0], at[1] + step[1]); event.preventDefault(); }
    });
    set(...at);
  }

  // ---- the page
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']"), button = event.target.closest("[data-copy]");
    if (button) {
      const done = () => { button.textContent = "copied"; setTimeout(() => { button.textContent = "copy"; }, 1500); };
      const old = () => { // without permission, as from file:// in some browsers
        const area = element("textarea", { value: button.dataset.copy });
        document.body.append(area); area.select(); document.execCommand("copy"); area.remove(); done();
      };
      navigator.clipboard ? navigator.clipboard.writeText(button.dataset.copy).then(done, old) : old();
    } else if (event.target.closest("[data-clear]")) go({});
    else if (link && !event.metaKey && !event.ctrlKey && link.hash.includes("=")) {
      event.preventDefault();
      const wanted = Object.fromEntries(new URLSearchParams(link.hash.slice(1)));
      go("op" in wanted ? { ...state, case: "", finding: "", ...wanted } : { ...wanted });
      if (!("op" in wanted)) $("#matrix").scrollIntoView();
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      if (state.op) { go({ ...state, op: "", case: "", finding: "" }); summary.hidden = false; }
      form.elements.q.focus();
    }
    if (event.key === "Escape" && state.op && !typing) go({ ...state, op: "", case: "", finding: "" });
    const cell = event.target.closest("#matrix td, #matrix tbody th");
    if (cell && event.key.startsWith("Arrow")) {
      const row = cell.parentElement, visible = (item) => item && !item.classList.contains("off");
      const line = [...row.children].filter(visible), rows = $$("#matrix tbody tr").filter(visible);
      const right = { ArrowLeft: -1, ArrowRight: 1 }[event.key] || 0, down = { ArrowUp: -1, ArrowDown: 1 }[event.key] || 0;
      const target = rows[rows.indexOf(row) + down]?.children;
      const next = target && [...target].filter(visible)[line.indexOf(cell) + right];
      if (next && $("a", next)) { event.preventDefault(); $("a", next).focus(); }
    }
  });
  const themes = ["auto", "light", "dark"], keep = (value) => { try { return value ? localStorage.setItem("gradcheck-theme", value) : localStorage.getItem("gradcheck-theme"); } catch { return null; } };
  const paint = (theme) => { root.dataset.theme = theme; $("#theme span").textContent = theme; };
  paint(themes.includes(keep()) ? keep() : "auto");
  $("#theme").addEventListener("click", () => { const next = themes[(themes.indexOf(root.dataset.theme) + 1) % 3]; keep(next); paint(next); });
  $("#matrix").style.setProperty("--per-row", new Set($$("#matrix thead [data-w]").map((head) => head.dataset.w)).size || 1);
  let wide = innerWidth, waiting;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(async () => { if (innerWidth !== wide && state.op) { wide = innerWidth; draw(await unpack(state.op)); } }, 150); });
  addEventListener("hashchange", show);
  show();
})();
