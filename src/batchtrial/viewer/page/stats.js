// The comparison of a slice, by the method of the report: the same formulas as batchtrial.stats, whose docstrings name the sources.
/** @import { Numbers } from "./types" */

import { general } from "./numbers.js";

const BISECTIONS = 60;
const TIE = 1e-12;
const ROUNDING = 1e-14;
const ENUMERATED = 20;
const MOST_WORK = 4e7;
const MANY_MISSING = 0.05;
const IMAGINED = 2;
const MOVED = 0.1;
const FEW_CHANGED = 10;

/** log Gamma, x > 0. */
/** @type {(x: number) => number} */
export function logGamma(x) {
  let shift = 0;
  while (x < 15) {
    shift -= Math.log(x);
    x += 1;
  }
  const y = 1 / (x * x);
  const series = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y * (1 / 1188 - y * (691 / 360360)))))) / x;
  return shift + (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series;
}

/** Regularised incomplete beta I_x(a, b) by its continued fraction, with y = 1 - x. */
/** @type {(a: number, b: number, x: number, y: number) => number} */
function incompleteBeta(a, b, x, y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(b, a, y, x);
  const tiny = 1e-300;
  let c = 1;
  let d = 1 / guarded(1 - ((a + b) * x) / (a + 1), tiny);
  let h = d;
  for (let m = 1; m < 20000; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / guarded(1 + even * d, tiny);
    c = guarded(1 + even / c, tiny);
    h *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / guarded(1 + odd * d, tiny);
    c = guarded(1 + odd / c, tiny);
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-16) break;
  }
  return (Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(y)) * h) / a;
}

/** @type {(value: number, tiny: number) => number} */
function guarded(value, tiny) {
  return Math.abs(value) < tiny ? tiny : value;
}

/** P(T > t) for Student's t, t >= 0. */
/** @type {(t: number, df: number) => number} */
export function tTail(t, df) {
  const whole = df + t * t;
  return 0.5 * incompleteBeta(df / 2, 0.5, df / whole, (t * t) / whole);
}

/** Half-width of the central interval of Student's t that holds `level`. */
/** @type {(level: number, df: number) => number} */
export function tTwoSided(level, df) {
  const tail = (1 - level) / 2;
  let low = 0;
  let high = 2;
  while (tTail(high, df) > tail && high < 1e12) high *= 2;
  for (let i = 0; i < 200; i += 1) {
    const middle = 0.5 * (low + high);
    if (middle === low || middle === high) break;
    if (tTail(middle, df) > tail) low = middle;
    else high = middle;
  }
  return 0.5 * (low + high);
}

/** Two-sided mid-p of b against c fair coin tosses. */
export function signMidP(b, c) {
  if (b === c) return 1;
  const k = Math.min(b, c);
  const m = b + c;
  const at = Math.exp(logGamma(m + 1) - logGamma(k + 1) - logGamma(m - k + 1) - m * Math.LN2);
  let below = 0;
  let pmf = at;
  for (let j = k; j > 0; j -= 1) {
    pmf *= j / (m - j + 1);
    below += pmf;
    if (pmf < below * 1e-18) break;
  }
  return 2 * below + at;
}

function tangoZ(b, c, n, delta) {
  const numerator = b - c - n * delta;
  if (numerator === 0) return 0;
  const bigB = (2 * n - b + c) * delta - b - c;
  const minusC = c * delta * (1 - delta);
  const root = Math.sqrt(Math.max(bigB * bigB + 8 * n * minusC, 0));
  const q = bigB > 0 ? (2 * minusC) / (root + bigB) : (root - bigB) / (4 * n);
  const variance = n * (2 * q + delta * (1 - delta));
  return variance > 0 ? numerator / Math.sqrt(variance) : Math.sign(numerator) * Infinity;
}

/** Tango's interval for (b - c) / n. */
export function tango(b, c, n, z) {
  const delta = (b - c) / n;
  return [-1, 1].map((edge) => {
    let outside = edge;
    let inside = delta;
    for (let i = 0; i < BISECTIONS; i += 1) {
      const middle = 0.5 * (outside + inside);
      if (Math.abs(tangoZ(b, c, n, middle)) > z) outside = middle;
      else inside = middle;
    }
    return inside;
  });
}

function sum(values) {
  let total = 0;
  let rest = 0;
  for (const value of values) {
    const next = total + value;
    rest += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return total + rest;
}

const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** The mean of some values; 0 where they cancel and leave a rounding error, as thirds do. */
/** @type {(values: number[]) => number} */
function mean(values) {
  const found = sum(values) / values.length;
  return Math.abs(found) <= ROUNDING * largest(values) ? 0 : found;
}

/** A number from 0 for each cluster, in the order in which they come. */
function coded(clusters) {
  const known = new Map();
  return clusters.map((label) => {
    if (!known.has(label)) known.set(label, known.size);
    return known.get(label);
  });
}

/** Mean with CR2 standard error and Satterthwaite degrees of freedom. */
export function clusteredMean(values, clusters) {
  const codes = coded(clusters);
  const size = [];
  for (const code of codes) size[code] = (size[code] || 0) + 1;
  const found = { n: size.length, mean: mean(values), se: null, df: null };
  if (size.length < 2) return found;
  const unit = largest(values) || 1;
  const centre = mean(values.map((value) => value / unit)) * unit;
  const sums = new Array(size.length).fill(0);
  values.forEach((value, place) => { sums[codes[place]] += (value - centre) / unit; });
  const share = size.map((one) => one / values.length);
  const se = (unit * Math.sqrt(sum(sums.map((one, g) => (one * one) / (1 - share[g]))))) / values.length;
  const u = share.map((one) => (one * one) / (1 - one));
  const squares = sum(share.map((one) => one * one));
  const df = 1 / (squares + sum(u) ** 2 - sum(u.map((one) => one * one)));
  return { n: size.length, mean: centre, se: se <= ROUNDING * unit ? 0 : se, df, size: sum(size.map((one) => one * one)) / values.length };
}

/** The treatment's scores; those that differ from the control's by rounding alone are the control's. */
/** @type {(treatment: Numbers, control: Numbers) => Numbers} */
export function withoutRounding(treatment, control) {
  return treatment.map((t, place) => {
    const c = control[place];
    return t !== null && c !== null && Math.abs(t - c) <= TIE * Math.max(Math.abs(t), Math.abs(c)) ? c : t;
  });
}

/** Two-sided sign-flip p of differences or cluster sums; null where only sampling of signs would tell. */
export function signFlip(differences, clusters) {
  const size = largest(differences);
  let d = differences;
  if (clusters) {
    const codes = coded(clusters);
    const sums = [];
    differences.forEach((value, place) => { sums[codes[place]] = (sums[codes[place]] || 0) + value; });
    d = sums;
  }
  d = d.filter((value) => Math.abs(value) > TIE * size);
  const total = Math.abs(sum(d));
  const scale = sum(d.map(Math.abs));
  if (!d.length || total <= TIE * scale) return 1;
  if (d.length <= ENUMERATED) return enumerated(d, total - TIE * scale);
  return onGrid(d);
}

function enumerated(d, threshold) {
  let sums = [Math.abs(d[0])];
  for (const value of d.slice(1)) {
    const size = Math.abs(value);
    sums = sums.flatMap((one) => [one + size, one - size]);
  }
  return sums.filter((one) => Math.abs(one) >= threshold).length / sums.length;
}

/** Exact where all differences are multiples of one unit: the law of the sum, one difference after another. */
function onGrid(d) {
  const sizes = [...new Set(d.map(Math.abs))].sort((a, b) => a - b);
  if (sizes.length > 512) return null;
  const top = sizes[sizes.length - 1];
  const tolerance = 1e-9 * top;
  let unit = sizes[0];
  for (const size of sizes) {
    let a = size;
    let b = unit;
    while (b > tolerance) {
      [a, b] = [b, a % b];
      if (a - b <= tolerance) b = 0;
    }
    unit = a;
  }
  const steps = d.map((value) => Math.round(Math.abs(value) / unit));
  const off = d.some((value, place) => Math.abs(Math.abs(value) / unit - steps[place]) > 1e-6);
  const reach = steps.reduce((all, step) => all + step, 0);
  if (unit <= tolerance || top / unit > 1e6 || off || reach * steps.length > MOST_WORK) return null;
  const observed = Math.abs(d.reduce((all, value) => all + Math.round(value / unit), 0));
  if (!observed) return 1;
  // law[s + far] is P(sum = s) of the steps so far.
  let law = new Float64Array(2 * reach + 1);
  law[reach] = 1;
  let far = 0;
  for (const step of steps) {
    const next = new Float64Array(2 * reach + 1);
    for (let s = -far; s <= far; s += 1) {
      const p = 0.5 * law[s + reach];
      if (p) {
        next[s + step + reach] += p;
        next[s - step + reach] += p;
      }
    }
    far += step;
    law = next;
  }
  let tail = 0;
  for (let s = reach; s >= observed; s -= 1) tail += law[s + reach];
  return Math.min(1, 2 * tail);
}

/** The design effect of several samples of each item. */
function effectOfSamples(seen, single, floor) {
  const effect = single > 0 ? Math.min(Math.max((seen + IMAGINED) / (single + IMAGINED), floor), 1) : 1;
  return effect * (floor < 1 ? 1.03 ** 2 : 1);
}

/**
 * The comparison of pairs.
 * control, treatment: numbers or null; clusters: label per pair, or null. samples: behind each score. isRate: shares of right samples.
 * limits: the lowest and the highest that a score can be, or null; level and z: of the interval.
 */
export function compare({ control, treatment, clusters, samples, isRate, isNumber, limits, level, z }) {
  const kept = control.map((_, place) => place).filter((place) => control[place] !== null && treatment[place] !== null);
  const c = kept.map((place) => control[place]);
  const t = kept.map((place) => treatment[place]);
  const d = t.map((value, place) => value - c[place]);
  const units = clusters && new Set(clusters).size < clusters.length ? kept.map((place) => clusters[place]) : null;
  const cluster = units && (d.length ? clusteredMean(d, units) : { n: 0 });
  const found = {
    pairs: kept.length, value: null, low: null, high: null, p: null, method: "", reason: "", clusters: cluster ? cluster.n : null, control: null, treatment: null,
    warnings: [...lossWarnings(control, treatment, d.length), ...warnings(d, cluster)], not_decidable: tooFew(cluster, d.length, level),
  };
  if (!kept.length) return { ...found, reason: "there are no complete pairs" };
  Object.assign(found, { value: mean(d), control: mean(c), treatment: mean(t) });
  if (cluster && cluster.n === 1) return { ...found, reason: "all items stand on one document: nothing is known beyond it" };
  const made = isRate ? ofShares(t, c, d, units, cluster, samples, level, z) : ofScores(t, c, d, cluster, level, z, limits || (isNumber ? null : [0, 1]));
  const p = made.p === undefined ? signFlip(d, units) : made.p;
  return { ...found, ...made, p };
}

/** What is said of pairs that were lost. */
function lossWarnings(control, treatment, kept) {
  const n = control.length;
  const found = (n - kept) / n > MANY_MISSING ? [`${n - kept} of ${n} pairs were lost: more than ${100 * MANY_MISSING}%`] : [];
  const [onlyTreatment, onlyControl] = [[treatment, control], [control, treatment]].map(([one, other]) => one.filter((value, place) => value === null && other[place] !== null).length);
  const p = signMidP(onlyTreatment, onlyControl);
  const [more, less] = onlyTreatment > onlyControl ? ["treatment", "control"] : ["control", "treatment"];
  return p < 0.05 ? [...found, `more pairs were lost to the ${more} than to the ${less} (p = ${general(p, 2)}): what is left may be a biased sample`] : found;
}

/** Why so few clusters decide nothing at this level; null when they can, and when items stand alone. */
function tooFew(cluster, n, level) {
  const needed = Math.max(2, Math.ceil(1 - Math.log2(1 - level) - 1e-9));
  if (!cluster || !cluster.n || cluster.n >= needed) return null;
  return cluster.n === 1 ? `not decidable: all ${n} items stand on one document, and nothing is shown beyond it; at least ${needed} documents are needed`
    : `not decidable with ${cluster.n} documents: even if all of them agreed, chance could explain it; at least ${needed} are needed`;
}

function warnings(d, cluster) {
  const changed = d.filter((value) => value !== 0).length;
  const found = [];
  if (d.length && d.length < 30) found.push(`only ${d.length} pair${d.length === 1 ? "" : "s"}`);
  if (d.length >= 30 && changed < 10) found.push(changed ? `only ${changed} item${changed === 1 ? "" : "s"} changed` : "no item changed");
  if (cluster && cluster.n < 10) found.push(`only ${cluster.n} cluster${cluster.n === 1 ? "" : "s"}`);
  return found;
}

function ofShares(t, c, d, units, cluster, samples, level, z) {
  const n = t.length;
  if (!cluster && samples === 1) {
    const b = d.filter((value) => value > 0).length;
    const less = d.filter((value) => value < 0).length;
    const [low, high] = tango(b, less, n, z);
    return { low, high, method: "tango", value: (b - less) / n, p: signMidP(b, less) };
  }
  const b = sum(t.map((value, place) => value * (1 - c[place])));
  const less = sum(c.map((value, place) => value * (1 - t[place])));
  const naive = Math.max((b + less) / n - ((b - less) / n) ** 2, 0) / n;
  const centre = mean(d);
  const seen = n > 1 ? (sum(d.map((value) => (value - centre) ** 2)) / (n - 1)) * n : 0;
  let effect = effectOfSamples(seen, n > 1 ? naive * n * n : 0, 0.5 / samples + 0.5 / samples);
  if (cluster && cluster.se !== null) {
    const [wide, single] = [cluster.se ** 2 * n * n * Math.min(tTwoSided(level, cluster.df) / z, 1e6) ** 2, naive * n * n];
    effect = Math.max(effect, Math.min(effectOfClusters(wide, single, cluster.size), n));
  }
  const [low, high] = tango(b / effect, less / effect, n / effect, z);
  return { low, high, method: "effective_tango" };
}

/**
 * limits: of a score, null where nobody knows; scores of which none changed are tested as right and wrong answers in the unit that they span, and
 * where hardly one moved, the interval is no narrower than that; none reaches further than two scores can lie apart.
 */
function ofScores(t, c, d, cluster, level, z, limits) {
  const n = cluster ? cluster.n : d.length;
  const span = limits && [...t, ...c].every((value) => value >= limits[0] && value <= limits[1]) ? limits[1] - limits[0] : null;
  if (span !== null && d.every((value) => value === 0)) {
    const [low, high] = tango(0, 0, cluster && cluster.size ? d.length / cluster.size : n, z).map((end) => end * span);
    return { low, high, method: "tango" };
  }
  const centre = mean(d);
  const spread = n > 1 ? Math.sqrt(sum(d.map((value) => (value - centre) ** 2)) / (d.length - 1)) : 0;
  const sd = spread <= ROUNDING * largest(d) ? 0 : spread;
  const se = cluster ? cluster.se : sd / Math.sqrt(d.length);
  const method = cluster ? "cr2_satterthwaite" : "paired_t";
  if (!se) return { method, reason: cluster ? "all clusters have the same mean: no spread to judge by" : n < 2 ? "an interval needs at least two pairs" : "all differences are equal, so their spread is unknown" };
  let half = tTwoSided(level, cluster ? cluster.df : d.length - 1) * se;
  const middle = cluster ? cluster.mean : centre;
  if (span !== null && d.filter((value) => Math.abs(value) >= MOVED * span).length < FEW_CHANGED) {
    half = Math.max(half, unchangedHalf(d, cluster, se, span, z));
  }
  const most = span ?? Infinity;
  return { value: middle, low: Math.max(middle - half, -most), high: Math.min(middle + half, most), method };
}

/** No less than with one changed item each way imagined beside those seen, and with it all of its cluster. */
function effectOfClusters(seen, single, size) {
  return Math.max(single > 0 ? seen / single : 1, (seen + IMAGINED * size) / (single + IMAGINED));
}

/** Half the interval of as many scores without a change, at the design effect of these clusters. */
function unchangedHalf(d, cluster, se, span, z) {
  let n = d.length;
  if (cluster) {
    const [seen, single] = [((n * se) / span) ** 2, sum(d.map((value) => (value / span) ** 2))];
    n /= Math.max(1, Math.min(effectOfClusters(seen, single, cluster.size), n));
  }
  return span * tango(0, 0, n, z)[1];
}
