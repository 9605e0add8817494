// Places on the float line of a dtype, from -1 at -inf to 1 at inf, rising with the float ordinal.
const emaxes = { float64: 1023, float32: 127, float16: 15, bfloat16: 127 };
const largest = { float64: Number.MAX_VALUE, float32: 3.4028234663852886e38, float16: 65504, bfloat16: 3.3895313892515355e38 };
const ordinary = Math.log2(1e4);

// Every float gets the same room.
function even(x, emax) {
  const size = Math.abs(x), bottom = 1 - emax;
  if (!size || Number.isNaN(x)) return 0;
  if (size / 2 >= 2 ** emax) return Math.sign(x);
  const exponent = Math.max(bottom, Math.floor(Math.log2(size)));
  const place = size < 2 ** bottom ? size / 2 ** bottom : exponent - bottom + size / 2 ** exponent;
  return (Math.sign(x) * place) / (emax - bottom + 2);
}

// The floats from 1e-4 to 1e4 get two thirds of the room: there most programs live.
function stretched(x, emax) {
  if (!x || Number.isNaN(x)) return 0;
  const log = Math.log2(Math.abs(x));
  const part = (from, to) => Math.min(1, Math.max(0, (log - from) / (to - from)));
  return Math.sign(x) * (0.08 * part(1 - emax, -ordinary) + 0.68 * part(-ordinary, ordinary) + 0.24 * part(ordinary, emax + 1));
}

const power = (k, sign = 1) => (sign < 0 ? "-" : "") + (k >= -2 && k <= 3 ? decimal(10 ** k) : "1e" + k);

// Labelled values, the most wanted first: 0, 1, the ends, powers of ten at ever finer steps, then what lies between.
function wantedTicks(limit, emax) {
  const wanted = [[0, "0"], [1, "1"], [-1, "-1"], [limit, "max"], [-limit, "-max"]];
  const top = Math.floor(Math.log10(limit)), bottom = Math.ceil((1 - emax) * Math.log10(2));
  const both = (x, label) => wanted.push([x, label], [-x, "-" + label]);
  for (const step of [64, 32, 16, 8, 4, 2, 1]) {
    for (let k = 0; k <= Math.max(top, -bottom); k += step) {
      if (k <= top) both(10 ** k, power(k));
      if (-k >= bottom) both(10 ** -k, power(-k));
    }
  }
  for (let k = -4; k <= 4; k++) for (const digit of [2, 5, 3, 4, 6, 7, 8, 9, 1.5]) both(digit * 10 ** k, decimal(digit * 10 ** k));
  return wanted;
}

function ticks(dtype, scale, left, right) {
  const taken = [];
  for (const [x, label] of wantedTicks(largest[dtype] || Number.MAX_VALUE, emaxes[dtype] || 1023)) {
    const at = scale(x), half = label.length * 3.4 + 5;
    const free = at >= left - 0.5 && at <= right + 0.5 && taken.every((other) => Math.abs(other.at - at) >= other.half + half);
    if (free) taken.push({ at, half, label });
  }
  return taken;
}

// About `count` round numbers between two.
function roundNumbers(low, high, count) {
  const raw = (high - low) / count || 1, unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= raw), marks = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) marks.push(+(k * step).toPrecision(8));
  return marks;
}
