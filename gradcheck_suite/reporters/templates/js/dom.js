// Small helpers for elements and numbers.
const $ = (query, root = document) => root.querySelector(query);
const $$ = (query, root = document) => [...root.querySelectorAll(query)];

function element(tag, props = {}, ...children) {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children);
  return made;
}

function svg(tag, props, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(props)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

// JSON has no infinity: the document writes "inf", and null for what is undefined.
const number = (value) => (value === null ? NaN : Number(String(value).replace("inf", "Infinity")));

function decimal(x, digits = 6) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x > 0 ? "inf" : "-inf";
  const short = +x.toPrecision(digits), large = Math.abs(short) >= 1e6;
  return (large ? short.toExponential() : String(short)).replace("e+", "e");
}
