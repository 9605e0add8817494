// Which ops, columns and findings are shown, and in which order.
const form = $("#filters"), table = $("#matrix"), more = $("#more");
const rank = { critical: 0, major: 1, minor: 2, info: 3 }, levels = ["critical", "major", "minor", "extreme"];
const entries = $$("tbody tr", table).map((row, order) => ({ row, order, cells: $$("td", row), ...row.dataset }));
const heads = $$("thead [data-t]", table);

// What an element stands for: tokens "kind:severity:status:inputs" of its findings, its dtypes and its direction.
const tokens = (item) => (item.dataset.f || "").split(" ").filter(Boolean);
const inPlace = ({ dataset }) => (!state.dtype || dataset.t.split(" ").includes(state.dtype)) && (!state.direction || dataset.w === state.direction);
const matches = (item) => tokens(item).some((token) => {
  const [kind, severity, status, inputs] = token.split(":");
  return (!state.kind || kind === state.kind) && (!state.inputs || inputs === state.inputs) && (!state.severity || rank[severity] <= rank[state.severity]) &&
    (!state.status || status === state.status) && (!state.new || status === "new");
});

const orders = {
  name: (a, b) => a.op.localeCompare(b.op),
  family: (a, b) => a.family.localeCompare(b.family) || a.order - b.order,
  ulp: (a, b) => b.worst - a.worst || a.order - b.order,
  gravity: (a, b) => a.gravity - b.gravity || a.order - b.order,
};

function weigh(entry, found) {
  const seen = entry.cells.filter(inPlace), grave = found.map((cell) => levels.indexOf(cell.classList[0])).filter((level) => level >= 0);
  const worst = Math.min(9, ...grave);
  entry.gravity = worst * 100 - grave.filter((level) => level === worst).length;
  entry.worst = Math.max(-1, ...seen.map((cell) => number(cell.dataset.u)));
}

function filterRows(narrowed) {
  const wanted = (state.q || "").trim().toLowerCase(), shown = new Set();
  for (const entry of entries) {
    const found = entry.cells.filter((cell) => inPlace(cell) && matches(cell));
    const visible = entry.text.includes(wanted) && (!state.family || entry.family === state.family) && (!narrowed || found.length > 0);
    if (visible) shown.add(entry.op);
    entry.row.classList.toggle("off", !visible);
    for (const cell of entry.cells) {
      cell.classList.toggle("off", !inPlace(cell));
      cell.classList.toggle("dim", narrowed && !found.includes(cell));
    }
    weigh(entry, found);
  }
  return shown;
}

function filterHeads() {
  for (const head of heads) head.classList.toggle("off", !inPlace(head));
  for (const group of $$(".group", table)) {
    const span = heads.filter((head) => head.dataset.t === group.dataset.dtype && inPlace(head)).length;
    group.classList.toggle("off", !span);
    group.colSpan = span || 1;
  }
  table.style.setProperty("--per-row", new Set(heads.filter(inPlace).map((head) => head.dataset.w)).size || 1);
}

// As chosen; else those first whose name starts with what is searched, or those first that the filters find worst.
function orderOf(filtering) {
  const query = (state.q || "").trim().toLowerCase(), rest = orders[state.sort || (filtering ? "gravity" : "")] || ((a, b) => a.order - b.order);
  if (state.sort || !query) return rest;
  const off = (entry) => (entry.op === query ? 0 : entry.op.toLowerCase().startsWith(query) ? 1 : 2);
  return (a, b) => off(a) - off(b) || rest(a, b);
}

function filter() {
  for (const key of fields) {
    const input = form.elements[key], value = state[key] || "";
    if (key === "new") input.checked = Boolean(value);
    else if (input.value !== value) input.value = value;
  }
  const narrowed = Boolean(state.kind || state.severity || state.inputs || state.status || state.new), placed = Boolean(state.dtype || state.direction);
  const shown = filterRows(narrowed);
  filterHeads();
  $("tbody", table).append(...[...entries].sort(orderOf(narrowed || placed)).map((entry) => entry.row));
  for (const item of $$(".gravest [data-op]")) item.classList.toggle("off", !(shown.has(item.dataset.op) && inPlace(item) && matches(item)));
  if (more) {
    const hidden = $$("[data-op]:not(.off)", more).length;
    more.classList.toggle("off", !hidden);
    $("summary", more).textContent = `${hidden} ${$$(".gravest > ol > [data-op]:not(.off)").length ? "more" : "regions"}`;
    if (narrowed || placed || state.q || state.family) more.open = true;
  }
  // Who looks for an op wants its row, not the overview.
  const overview = $(".glance"), ops = $(".ops"), searching = Boolean(state.q);
  overview.hidden = searching;
  if (searching !== (ops.nextElementSibling === overview)) searching ? overview.before(ops) : summary.append(ops);
  $("#count").textContent = `${shown.size} of ${entries.length} op${entries.length === 1 ? "" : "s"}`;
  $("#nothing").hidden = shown.size > 0;
}

// Enter opens the first op that is left, where a search narrowed them down.
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const first = $("tbody tr:not(.off)", table);
  if (state.q && first) go({ ...state, ...noView, op: first.dataset.op });
});
form.addEventListener("reset", () => go({}));
form.addEventListener("input", () => {
  const chosen = Object.fromEntries(fields.map((key) => [key, key === "new" ? (form.elements.new.checked ? "1" : "") : form.elements[key].value]));
  go({ ...state, ...chosen }, { quietly: true });
  filter();
});

$("#unfold").addEventListener("click", (event) => {
  const open = form.classList.toggle("unfolded");
  event.target.ariaExpanded = String(open);
  event.target.textContent = open ? "fewer filters" : "more filters";
});
