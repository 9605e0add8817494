// Everything that is chosen stands in the address, so that a link shows the same.
const fields = ["q", "dtype", "direction", "kind", "severity", "inputs", "status", "family", "sort", "new"];
const views = ["op", "case", "finding", "axis"];
const noView = { op: "", case: "", finding: "" };
let state = {};

const readState = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

function go(next, { quietly = false } = {}) {
  const chosen = [...fields, ...views].filter((key) => next[key]).map((key) => [key, next[key]]);
  const hash = "#" + new URLSearchParams(chosen);
  if (!quietly) {
    location.hash = hash;
    return;
  }
  history.replaceState(null, "", hash);
  state = next;
}
