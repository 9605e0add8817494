// One op at a time, unpacked when it is opened; then the page's own buttons and keys.
const summary = $("#summary"), view = $("#op"), title = document.title, unpacked = new Map();
let shownOp = null, summaryScroll = 0, filtered = null;

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

async function show() {
  state = readState();
  const chosen = fields.map((key) => state[key]).join("\n");
  if (chosen !== filtered) filter(); // not for every op that is opened: sorting lays the whole table out anew
  filtered = chosen;
  const wanted = state.op || null, data = wanted && (await unpack(wanted));
  if (wanted !== (state.op || null)) return; // another was asked for meanwhile
  if (data) showOp(data);
  else showSummary();
}

function showSummary() {
  const left = shownOp;
  shownOp = null;
  view.hidden = true;
  summary.hidden = false;
  document.title = title;
  if (left === null) return;
  scrollTo(0, summaryScroll);
  entries.find((entry) => entry.op === left)?.row.querySelector("a").focus({ preventScroll: true });
}

function showOp(data) {
  if (shownOp === null) summaryScroll = scrollY;
  summary.hidden = true;
  view.hidden = false;
  document.title = `${state.op} - ${title}`;
  if (shownOp !== state.op) {
    shownOp = state.op;
    view.innerHTML = data.head; // escaped when the report was written, and the page's policy runs no script in it
    const question = element("h3", { className: "question", textContent: "For which inputs is it wrong?" });
    view.append(element("div", { className: "case-head" }, question, element("div", { id: "variants" })), element("div", { id: "answer" }), element("div", { id: "about", innerHTML: data.about }), element("div", { id: "case" }));
    scrollTo(0, 0);
    $(".op-name").focus({ preventScroll: true });
  }
  showCase(data);
  view.dataset.op = shownOp;
}

const commonest = ["float32", "bfloat16", "float16", "float64"];
const gravity = (item) => (levels.indexOf(item.level) + 10) % 10;
const worstOf = (items) => items.reduce((worst, item) => (worst && gravity(worst) <= gravity(item) ? worst : item), null);

// The case asked for, else the worst of the first variant, which most programs use, among those that the filters leave.
function pick(data) {
  const asked = data.cases.find((item) => item.id === state.case);
  if (asked) return asked;
  const usual = data.cases.filter((item) => item.variant === data.cases[0].variant), common = (item) => commonest.indexOf(item.dtype);
  const left = usual.filter((item) => (!state.dtype || item.dtype === state.dtype) && (!state.direction || item.direction === state.direction));
  return worstOf((left.length ? left : usual).sort((a, b) => common(a) - common(b)));
}

const placeOf = (item) => `${item.dtype} ${item.direction}`;

function showCase(data) {
  const item = pick(data), box = $("#case"), label = (of) => of.variant || "defaults";
  if ($("#answer").dataset.variant !== item.variant) {
    $("#answer").dataset.variant = item.variant;
    $("#answer").innerHTML = data.answers[item.variant];
  }
  for (const link of $$("[data-place]", view)) {
    if (link.dataset.place === placeOf(item)) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  box.innerHTML = item.html;
  const firsts = Object.keys(data.answers).map((variant) => worstOf(data.cases.filter((other) => other.variant === variant && placeOf(other) === placeOf(item))) || worstOf(data.cases.filter((other) => other.variant === variant)));
  $("#variants").replaceChildren(...choice("variant", firsts, firsts.find((other) => other.variant === item.variant), label));
  const twins = data.cases.filter((other) => other.variant === item.variant && placeOf(other) === placeOf(item));
  $(".case-head", box).append(...choice("with respect to", twins, item, (of) => of.wrt || "value"));
  draw(data, item);
  if (state.finding) reveal(box, state.finding);
}

function choice(name, items, chosen, label) {
  if (items.length < 2) return [];
  const select = element("select");
  for (const item of items) {
    const text = `${label(item)}: ${item.word}`;
    select.append(element("option", { value: item.id, textContent: text.length > 90 ? text.slice(0, 89) + "…" : text, selected: item === chosen }));
  }
  select.addEventListener("change", () => go({ ...state, case: select.value, finding: "" }));
  return [element("label", {}, element("span", { textContent: name }), " ", select)];
}

function draw(data, item) {
  const box = $("#case .charts");
  if (!item.curves.length && !item.regions.length && !item.grid) return;
  drawCase(box, data, item, {
    limit: Number(document.body.dataset.limit), even: () => state.axis === "even",
    choose: (axis) => { go({ ...state, axis }, { quietly: true }); draw(data, item); },
  });
}

function reveal(box, id) {
  // Where a case has very many findings, some stand in the table alone.
  const target = $$("[data-finding]", box).find((item) => item.dataset.finding === id) || $$("[data-row]", box).find((item) => item.dataset.row === id);
  if (!target) return;
  const folded = target.closest("details");
  if (folded) folded.open = true;
  target.classList.add("here");
  target.scrollIntoView({ block: "center" });
  target.focus({ preventScroll: true });
}

// Copies the code that stands beside a button.
function copy(button) {
  const text = $("code", button.parentElement).textContent;
  const done = () => {
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  };
  const byHand = () => { // where the page may not write to the clipboard, as from file:// in some browsers
    const area = element("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    done();
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, byHand);
  else byHand();
}

function follow(link) {
  const wanted = Object.fromEntries(new URLSearchParams(link.hash.slice(1)));
  if ("op" in wanted) return go({ ...state, ...noView, ...wanted });
  go(wanted);
  return $("#matrix-h").scrollIntoView();
}

document.addEventListener("click", (event) => {
  const at = (query) => event.target.closest(query), link = at("a[href*='=']");
  if (at("[data-copy]")) copy(at("[data-copy]"));
  else if (at("[data-zoom]")) $("#case .charts").dispatchEvent(new CustomEvent("zoom", { detail: at("[data-zoom]").dataset.zoom }));
  else if (at("[data-clear]")) go({});
  else if (link?.hash && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
    event.preventDefault();
    follow(link);
  }
});

function moveInTable(cell, event) {
  const right = { ArrowLeft: -1, ArrowRight: 1 }[event.key] || 0, down = { ArrowUp: -1, ArrowDown: 1 }[event.key] || 0;
  const visible = (item) => !item.classList.contains("off"), rows = $$("tbody tr", table).filter(visible);
  const column = [...cell.parentElement.children].filter(visible).indexOf(cell);
  const target = [...(rows[rows.indexOf(cell.parentElement) + down]?.children || [])].filter(visible)[column + right]?.querySelector("a");
  if (!(right || down) || !target) return;
  event.preventDefault();
  target.focus();
}

document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName), cell = event.target.closest("#matrix td, #matrix tbody th");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    go({ ...state, ...noView }, { quietly: true });
    showSummary();
    form.elements.q.focus();
  } else if (event.key === "Escape" && state.op && !typing) go({ ...state, ...noView });
  else if (cell) moveInTable(cell, event);
});

const themes = ["auto", "light", "dark"], root = document.documentElement;
function remembered(value) {
  try {
    if (value) localStorage.setItem("gradcheck-theme", value);
    return localStorage.getItem("gradcheck-theme") || "auto";
  } catch { // some browsers keep nothing for file://
    return value || "auto";
  }
}
function paint(theme) {
  root.dataset.theme = theme;
  $("#theme span").textContent = theme;
}
$("#theme").addEventListener("click", () => paint(remembered(themes[(themes.indexOf(root.dataset.theme) + 1) % 3])));

let width = innerWidth, waiting;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (innerWidth !== width && state.op) show();
    width = innerWidth;
  }, 150);
});
addEventListener("hashchange", show);
root.classList.add("scripted");
paint(remembered());
show();
