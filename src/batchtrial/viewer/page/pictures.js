// Pictures as SVG: the forest of declared results, histograms that filter by brushing, control against treatment.
/** @import { Bins, Pictures, Range, Test } from "./types" */

import { el, short, svg, visible } from "./dom.js";
import { difference, general } from "./numbers.js";

const EDGE = 0.01;

/** Round numbers between two ends, about `most` of them. */
/** @type {(low: number, high: number, most?: number) => number[]} */
export function ticks(low, high, most = 5) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5].find((one) => (high - low) / (one * power) <= most) ?? 10);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

/** The trial's comparisons with their intervals, the primary first: shares in one plot, each other metric in one of its own. */
/** @type {(tests: Test[]) => SVGElement[]} */
export function forests(tests) {
  const shown = tests.filter((one) => one.estimate.ci_low !== null).sort((a, b) => order(a) - order(b));
  const units = new Map();
  for (const one of shown) {
    const unit = one.is_share ? "" : one.metric;
    units.set(unit, [...(units.get(unit) || []), one]);
  }
  return [...units.values()].map((mine) => forest(mine.slice(0, 24)));
}

/** Comparisons of one unit against no difference, with margin lines, and which side is better. */
/** @type {(shown: Test[]) => SVGElement} */
function forest(shown) {
  const isNarrow = window.innerWidth < 760;
  const [width, left, row, top] = isNarrow ? [340, 0, 42, 34] : [820, 390, 24, 34];
  const isShare = shown[0].is_share;
  const margins = shown.flatMap((one) => (one.margin ? [one.margin.low, one.margin.high] : [])).filter((value) => value !== null).map((value) => Math.abs(value));
  const reach = 1.08 * Math.max(isShare ? 0.01 : Number.MIN_VALUE, ...margins, ...shown.flatMap((one) => [Math.abs(one.estimate.ci_low), Math.abs(one.estimate.ci_high)]));
  const x = (value) => left + ((value / reach + 1) / 2) * (width - left - 16);
  const bottom = top + row * shown.length;
  const made = svg("svg", { viewBox: `0 0 ${width} ${bottom + 26}`, class: isNarrow ? "forest narrow" : "forest", role: "img", "aria-label": "difference and interval of each comparison" });
  made.append(svg("text", { x: left, y: 14, class: "small", text: "less under the treatment" }), svg("text", { x: width - 16, y: 14, class: "small end", text: "more under the treatment" }));
  for (const tick of ticks(-reach, reach, isNarrow ? 4 : 8)) {
    made.append(svg("line", { x1: x(tick), x2: x(tick), y1: top - 10, y2: bottom, class: tick ? "grid" : "zero" }));
    const text = tick ? `${general(isShare ? 100 * tick : tick, 4, true)}${isShare ? " pp" : ""}` : "0";
    const half = 3.5 * text.length;  // one at the edge of the picture would be cut
    made.append(svg("text", { x: Math.min(width - half, Math.max(half, x(tick))), y: bottom + 16, class: "small middle", text }));
  }
  shown.forEach((one, at) => {
    const y = top + row * at + (isNarrow ? 22 : 4);
    const beside = isNarrow ? y - 13 : y + 4;
    const better = one.higher_is_better ? "right is better" : "left is better";
    made.append(svg("text", { x: 0, y: beside, class: one.is_declared ? "label strong" : "label", text: short(one.label, isNarrow ? 28 : 40) },
      svg("title", { text: `${visible(one.label)}: ${difference(one.estimate.value, isShare)}${isShare ? " pp" : ""}; ${better}` })));
    made.append(svg("text", { x: isNarrow ? width : left - 6, y: beside, class: "small end", text: one.higher_is_better ? "more is better" : "less is better" }));
    const margin = one.margin && (one.margin.low ?? one.margin.high);
    if (margin !== null && margin !== undefined) made.append(svg("line", { x1: x(margin), x2: x(margin), y1: y - 10, y2: y + 10, class: "margin" }));
    made.append(svg("line", { x1: x(one.estimate.ci_low), x2: x(one.estimate.ci_high), y1: y, y2: y, class: one.is_declared ? "bar strong" : "bar" }));
    made.append(svg("circle", { cx: x(one.estimate.value), cy: y, r: one.is_declared ? 5 : 3.5, class: "dot" }));
  });
  return made;
}

/** @type {(one: Test) => number} */
function order(one) {
  return ["primary", "confirmatory"].indexOf(one.family) < 0 ? 2 : ["primary", "confirmatory"].indexOf(one.family);
}

/** A histogram; dragging over it, or its two fields, chooses a range. chosen: [low, high] or null; onrange: called with the new one. */
/** @type {(title: string, told: Bins | null, chosen: Range | null, onrange: (range: Range | null) => void) => Element} */
export function histogram(title, told, chosen, onrange) {
  const box = el("figure", { class: "histogram" }, el("figcaption", { text: title }));
  if (!told) {
    box.append(el("p", { class: "quiet", text: "no numbers" }));
    return box;
  }
  const [width, height] = [300, 84];
  const most = Math.max(...told.counts, 1);
  const step = width / told.counts.length;
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height + 14}`, role: "img", "aria-label": `${title}: ${told.n} pairs from ${general(told.low)} to ${general(told.high)}` });
  told.counts.forEach((n, bin) => {
    const size = n ? Math.max(1.5, (n / most) * height) : 0;
    const middle = told.low + ((bin + 0.5) / told.counts.length) * (told.high - told.low);
    const isIn = !chosen || ((chosen[0] === null || middle >= chosen[0]) && (chosen[1] === null || middle <= chosen[1]));
    drawn.append(svg("rect", { x: bin * step + 0.5, y: height - size, width: step - 1, height: size, class: isIn ? "bin" : "bin out" }));
  });
  for (const tick of ticks(told.low, told.high, 4)) {
    drawn.append(svg("text", { x: Math.min(width - 12, Math.max(12, ((tick - told.low) / (told.high - told.low)) * width)), y: height + 12, class: "small middle", text: general(tick) }));
  }
  brushed(drawn, width, told, onrange);
  const field = (place, name) => el("input", { type: "number", step: "any", "aria-label": `${title} ${name}`, placeholder: name, value: chosen && chosen[place] !== null ? chosen[place] : "",
    onchange: (event) => {
      /** @type {Range} */
      const next = chosen ? [...chosen] : [null, null];
      next[place] = event.target.value === "" ? null : Number(event.target.value);
      onrange(next.every((one) => one === null) ? null : next);
    } });
  box.append(drawn, el("div", { class: "range" }, field(0, "from"), field(1, "to")));
  return box;
}

/** @type {(drawn: SVGElement, width: number, told: Bins, onrange: (range: Range | null) => void) => void} */
function brushed(drawn, width, told, onrange) {
  let start = null;
  const at = (event) => {
    const box = drawn.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const value = (share) => Number((told.low + share * (told.high - told.low)).toPrecision(3));
  drawn.addEventListener("pointerdown", (event) => {
    start = at(event);
    drawn.setPointerCapture(event.pointerId);
  });
  drawn.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [low, high] = [start, at(event)].sort((a, b) => a - b);
    start = null;
    // What lies far out is counted in the outermost bars: a range that takes one of them whole is open on that side.
    /** @type {Range} */
    const ends = [low <= EDGE ? null : value(low), high >= 1 - EDGE ? null : value(high)];
    onrange(high - low < EDGE || ends.every((one) => one === null) ? null : ends);
  });
  drawn.classList.add("brush");
}

/** Control against treatment for a grade; a click on a point opens its item. */
/** @type {(points: Pictures["scatter"], onpick: (place: number) => void) => Element | null} */
export function scatter(points, onpick) {
  if (!points || !points.length) return null;
  const size = 200;
  const values = points.flatMap(([, c, t]) => [c, t]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const at = (value) => 8 + ((value - low) / (high - low || 1)) * (size - 16);
  const drawn = svg("svg", { viewBox: `0 0 ${size} ${size}`, class: "scatter", role: "img", "aria-label": `control against treatment, ${points.length} pairs` });
  drawn.append(svg("line", { x1: at(low), y1: size - at(low), x2: at(high), y2: size - at(high), class: "grid" }));
  for (const [place, c, t] of points) drawn.append(svg("circle", { cx: at(c), cy: size - at(t), r: 2.5, class: "dot faint", onclick: () => onpick(place) }));
  return el("figure", { class: "histogram" }, el("figcaption", { text: "treatment (up) against control (right)" }), drawn);
}
