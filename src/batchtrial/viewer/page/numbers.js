// Numbers as the report writes them, to the last digit.

const MOST_DIGITS = 9;
const NOISE = 1e-12;

/** Fixed digits; a value exactly half way goes to the even digit. */
/** @type {(value: number, digits: number) => string} */
export function fixed(value, digits) {
  const exact = Math.abs(value).toFixed(Math.min(digits + 60, 100));
  const tail = exact.slice(exact.length - Math.min(60, 100 - digits));
  let text = Math.abs(value).toFixed(digits);
  if (/^50*$/.test(tail)) {
    const kept = exact.slice(0, exact.length - tail.length).replace(/\.$/, "");
    text = Number(kept[kept.length - 1]) % 2 === 0 ? kept : text;
  }
  return (value < 0 && Number(text) !== 0 ? "-" : "") + text;
}

/** At least so many digits; more while rounding would put the value on a line or beyond one. */
/** @type {(value: number, digits: number, how?: { lines?: number[], signed?: boolean }) => string} */
export function sided(value, digits, { lines = [0], signed = false } = {}) {
  const seen = withoutNoise(value);
  const near = lines.filter((line) => Math.abs(value - line) > NOISE * Math.max(1, Math.abs(line)));
  const side = (one, line) => Math.sign(one - line);
  while (digits < MOST_DIGITS && near.some((line) => side(Number(fixed(seen, digits)), line) !== side(value, line))) digits += 1;
  const text = fixed(seen, digits);
  return signed && Number(text) > 0 ? `+${text}` : text;
}

/** As many significant digits, without trailing zeros. */
/** @type {(given: number, digits?: number, signed?: boolean) => string} */
export function general(given, digits = 4, signed = false) {
  const value = withoutNoise(given);
  if (value === 0) return "0";
  const power = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))));
  let text;
  if (power < -4 || power >= digits) {
    const [head, tail] = (power < 0 ? value : evenly(value, 10 ** (power - digits + 1))).toExponential(digits - 1).split("e");
    const size = Math.abs(Number(tail));
    text = `${stripped(head)}e${tail.startsWith("-") ? "-" : "+"}${size < 10 ? "0" : ""}${size}`;
  } else text = stripped(fixed(value, Math.max(digits - 1 - power, 0)));
  return signed && value > 0 ? `+${text}` : text;
}

/** The value to twelve digits: what lies half way between two texts goes one way, however it was added up. */
/** @type {(value: number) => number} */
function withoutNoise(value) {
  return Number(value.toPrecision(12));
}

/** A number as a multiple of a step; one exactly half way goes to the even multiple. */
/** @type {(value: number, step: number) => number} */
function evenly(value, step) {
  const n = Math.floor(value / step);
  const rest = value - n * step;
  return (rest * 2 > step || (rest * 2 === step && n % 2) ? n + 1 : n) * step;
}

/** @type {(text: string) => string} */
function stripped(text) {
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

/** A difference in the metric's unit, with its sign. */
/** @type {(value: number | null | undefined, isShare: boolean) => string} */
export function difference(value, isShare) {
  if (value === null || value === undefined) return "-";
  if (isShare) return sided(100 * value, 1, { signed: true });
  const plain = general(value, 4, true);
  return value ? plain : sided(value, 4, { signed: true });
}

/** A share in per cent, or a number in its own unit. */
/** @type {(value: number | null | undefined, isShare: boolean) => string} */
export function level(value, isShare) {
  if (value === null || value === undefined) return "-";
  return isShare ? `${sided(100 * value, 1, { lines: [0, 100] })} %` : general(value);
}

/** A p-value; with more digits next to a level that decides. */
/** @type {(value: number | null | undefined, levels?: number[]) => string} */
export function pText(value, levels = [0.05]) {
  if (value === null || value === undefined) return "-";
  if (value < 0.001 && levels.every((line) => line >= 0.001)) return "< 0.001";
  return sided(value, 3, { lines: [0, ...levels] });
}

/** Dollars: two significant digits of what is less than a cent, without an exponent. */
/** @type {(value: number) => string} */
export function dollars(value) {
  if (value === 0) return "$0";
  return `$${value < 0.01 ? value.toFixed(Math.min(20, 1 - Math.floor(Math.log10(value)))) : value.toFixed(4)}`;
}

/** A whole number with commas. */
/** @type {(n: number) => string} */
export function count(n) {
  return n.toLocaleString("en");
}

/** 1st, 2nd, 3rd, 4th. */
/** @type {(n: number) => string} */
export function ordinal(n) {
  const last = n % 100;
  const end = last > 10 && last < 14 ? "th" : ["th", "st", "nd", "rd"][n % 10] || "th";
  return `${n}${end}`;
}
