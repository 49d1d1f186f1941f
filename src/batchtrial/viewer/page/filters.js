// Chips, filters and the statistics of the slice that they leave.
/** @import { About, Ask, Child, Compared, Metric, Slice, State, Trial } from "./types" */

import { chosenByOutcome, isEverything } from "./address.js";
import { el, short, visible } from "./dom.js";
import { count, difference, level, ordinal, pText } from "./numbers.js";
import { LABELLED, MEANS, OUTCOME, SAID, VERDICT, WHERE, chipName, ordersOf, rangesOf } from "./words.js";

/** Chips with their counts; a click filters. */
/** @type {(told: Record<string, number>, chosen: string[], onchange: (chips: string[]) => void) => Element[]} */
export function chips(told, chosen, onchange) {
  const names = [...new Set([...Object.keys(told), ...chosen])];
  const order = [...Object.keys(OUTCOME), ...names.filter((name) => !OUTCOME[name]).sort((a, b) => Number(a.startsWith("reason:")) - Number(b.startsWith("reason:")))];
  return order.filter((name) => name in told || chosen.includes(name)).map((name) => {
    const isOn = chosen.includes(name);
    const sign = OUTCOME[name] ? `${OUTCOME[name][0]} ` : "";
    return el("button", { type: "button", class: `chip ${name.replace(/:.*/, "")}`, "aria-pressed": String(isOn), title: MEANS[name] || "",
      onclick: () => onchange(isOn ? chosen.filter((one) => one !== name) : [...chosen, name]) },
      el("span", { "aria-hidden": "true", text: sign }), `${visible(chipName(name))} `, el("b", { text: count(told[name] ?? 0) }));
  });
}

const AT_FIRST = 8;
const added = new Set();

/** The fields of the filter. onchange: called with what changes in the state; redraw: when only the fields do. */
/** @type {(state: State, about: About, trial: Trial, onchange: (changes: Partial<State>) => void, redraw: () => void) => Element[]} */
export function fields(state, about, trial, onchange, redraw) {
  const columns = Object.keys(about.choices);
  const shown = columns.filter((name, at) => at < AT_FIRST || name in state.values || added.has(name));
  const search = (changes) => onchange({ search: { ...state.search, ...changes } });
  const option = (value, text, isOn) => el("option", { value, text, selected: isOn });
  const made = [
    el("label", { class: "find" }, "find ", el("input", { type: "search", id: "find", value: state.search.text, placeholder: "text ( / )", autocomplete: "off", maxlength: 400, onchange: (event) => search({ text: event.target.value }) })),
    el("label", {}, "where ", el("select", { onchange: (event) => search({ where: event.target.value }) }, Object.entries(WHERE).map(([value, text]) => option(value, text, value === state.search.where)))),
    el("label", { class: "check" }, el("input", { type: "checkbox", checked: state.search.is_pattern, onchange: (event) => search({ is_pattern: event.target.checked }) }), " regular expression"),
    ...shown.map((name) => choice(name, about.choices[name], state.values[name] || [], (wanted) => {
      const next = { ...state.values };
      if (wanted.length) next[name] = wanted;
      else delete next[name];
      onchange({ values: next });
    })),
    shown.length < columns.length ? further(columns.filter((name) => !shown.includes(name)), (name) => { added.add(name); redraw(); }) : null,
    el("label", {}, "sort ", el("select", { id: "sort", onchange: (event) => onchange({ sort: event.target.value }) }, Object.entries(ordersOf(trial)).map(([value, text]) => option(value, text, value === state.sort)))),
    el("label", { class: "check" }, el("input", { type: "checkbox", checked: state.is_down, onchange: (event) => onchange({ is_down: event.target.checked }) }), " reversed"),
    el("label", {}, "labels ", el("select", { onchange: (event) => onchange({ labelled: event.target.value }) }, Object.entries({ ...LABELLED, ...VERDICT }).map(([value, text]) => option(value, text, value === state.labelled)))),
  ];
  const judges = trial.metrics.filter((one) => one.judge).map((one) => verdictOf(one, state, trial, onchange));
  return [...made.filter(Boolean), ...judges, ranges(state, trial, onchange)];
}

/** A menu of columns that have no field yet, filled when somebody comes to it: there may be thousands. */
/** @type {(names: string[], onadd: (name: string) => void) => Element} */
function further(names, onadd) {
  const menu = el("select", { class: "further", onchange: (event) => onadd(event.target.value), onfocus: () => {
    if (menu.options.length === 1) menu.append(...names.map((name) => el("option", { value: name, text: short(name.replace(/^x\./, ""), 40) })));
  } }, el("option", { value: "", text: `add one of ${count(names.length)} \u2026`, selected: true }));
  return el("label", {}, "further column ", menu);
}

/** @type {(name: string, values: string[], chosen: string[], onchange: (wanted: string[]) => void) => Element} */
function choice(name, values, chosen, onchange) {
  const title = name.replace(/^x\./, "");
  return el("label", { title: visible(title) }, `${short(title, 40)} `, el("select", { "data-column": name, onchange: (event) => onchange(event.target.value === "" ? [] : [event.target.value]) },
    el("option", { value: "", text: "all" }), chosen.length > 1 ? el("option", { value: chosen[0], text: `${chosen.length} of them`, selected: true }) : null,
    values.map((value) => el("option", { value, text: visible(value) || "(empty)", selected: chosen.length === 1 && chosen[0] === value }))));
}

/** What one judge says. It is held against the metric of the slice, or the trial's first that is no judge. */
/** @type {(judge: Metric, state: State, trial: Trial, onchange: (changes: Partial<State>) => void) => Element} */
function verdictOf(judge, state, trial, onchange) {
  const plain = trial.metrics.filter((one) => !one.judge);
  const other = plain.find((one) => one.name === state.metric) || plain[0];
  const names = Object.entries(SAID).filter(([value]) => (value !== "orders" || judge.judge === "pairwise") && (value !== "metric" || other));
  const change = (value) => {
    const judged = { ...state.judged };
    if (value) judged[judge.name] = value;
    else delete judged[judge.name];
    onchange({ judged });
  };
  return el("label", {}, `${visible(judge.title)} `, el("select", { "data-judge": judge.name, onchange: (event) => change(event.target.value) }, el("option", { value: "", text: "all" }),
    names.map(([value, text]) => el("option", { value, text: value === "metric" ? `${text} ${visible(other.title)}` : text, selected: state.judged[judge.name] === value }))));
}

/** Ranges of numbers: chosen ones as fields, and a menu that adds one. */
/** @type {(state: State, trial: Trial, onchange: (changes: Partial<State>) => void) => Element} */
function ranges(state, trial, onchange) {
  const names = rangesOf(trial);
  const set = (name, value) => {
    const next = { ...state.ranges };
    if (value) next[name] = value;
    else delete next[name];
    onchange({ ranges: next });
  };
  const field = (name, place) => el("input", { type: "number", step: "any", "aria-label": `${names[name] || name} ${place ? "to" : "from"}`, value: state.ranges[name][place] ?? "",
    onchange: (event) => set(name, state.ranges[name].map((one, at) => (at === place ? (event.target.value === "" ? null : Number(event.target.value)) : one))) });
  return el("span", { class: "ranges" },
    Object.keys(state.ranges).map((name) => el("span", { class: "range" }, `${visible(names[name] || name)} `, field(name, 0), " to ", field(name, 1), el("button", { type: "button", "aria-label": `without the range of ${names[name] || name}`, text: "\u00d7", onclick: () => set(name, null) }))),
    el("label", {}, "range ", el("select", { onchange: (event) => event.target.value && set(event.target.value, [null, null]) }, el("option", { value: "", text: "add \u2026" }),
      Object.entries(names).filter(([name]) => !(name in state.ranges)).map(([value, text]) => el("option", { value, text: visible(text) })))));
}

const looked = new Set();

/** The statistics of the slice, as nodes. Slices with an interval are counted: each is another chance to find something. */
/** @type {(slice: Slice, ask: Ask, metric: Metric, trial: Trial, alpha: number) => Child[]} */
export function sliceLine(slice, ask, metric, trial, alpha) {
  const counts = slice.counts;
  const parts = [el("b", { text: `${count(slice.n)} ${slice.n === 1 ? "pair" : "pairs"}` })];
  const changed = metric.is_rate || counts.won || counts.lost ? ` \u00b7 won ${count(counts.won)} \u00b7 lost ${count(counts.lost)}` : "";
  parts.push(`${changed}${counts.incomplete ? ` \u00b7 incomplete ${count(counts.incomplete)}` : ""}`);
  if (slice.withheld) return [...parts, el("p", { class: "quiet", text: slice.withheld })];
  const full = /** @type {Compared & Slice} */ (slice);
  const unit = metric.is_share ? " pp" : "";
  const said = full.pairs ? [`: ${unbroken(level(slice.control, metric.is_share))} \u2192 ${unbroken(level(slice.treatment, metric.is_share))}, difference `, el("b", { text: `${difference(slice.value, metric.is_share)}${unit}` })] : [];
  parts.push(el("span", { class: "result" },
    ` \u00b7 ${visible(metric.title)}${metric.higher_is_better ? "" : " (less is better)"}`, ...said,
    slice.low === null ? ` (no interval: ${slice.reason || "too few pairs"})` : `, ${Number((100 * full.level).toPrecision(12))}\u00a0%\u00a0interval ${difference(slice.low, metric.is_share)} to ${difference(slice.high, metric.is_share)}${unit}`,
    full.p === null ? "" : `, p ${pOf(full.p, alpha)}`, full.pairs ? ` (${count(full.pairs)} complete pair${full.pairs === 1 ? "" : "s"}${slice.clusters ? `, ${count(slice.clusters)} clusters` : ""})` : ""));
  return [...parts, bar(full, metric), el("p", { class: "quiet", text: notes(full, ask, metric, trial, alpha).join(" \u00b7 ") })];
}

/** A number that stays with its unit. */
/** @type {(text: string) => string} */
function unbroken(text) {
  return text.replace(" ", "\u00a0");
}

/** @type {(p: number, alpha: number) => string} */
function pOf(p, alpha) {
  const text = pText(p, [Number(alpha.toPrecision(12)), Number((alpha / 2).toPrecision(12))]);
  return text.startsWith("<") ? text : `= ${text}`;
}

/** @type {(slice: Compared & Slice, ask: Ask, metric: Metric, trial: Trial, alpha: number) => string[]} */
function notes(slice, ask, metric, trial, alpha) {
  const near = (a, b) => a === b || (a !== null && b !== null && Math.abs(a - b) < 1e-9);
  const declared = trial.tests.some((one) => one.is_declared && one.metric === metric.name && (trial.looked ? one.kind === "all" && !one.dataset : near(one.estimate.value, slice.value) && near(one.estimate.ci_low, slice.low)));
  const isTold = slice.low !== null || slice.p !== null;
  const found = [];
  if (isEverything(ask) && declared) found.push("all pairs: what was declared of this metric stands in the verdict, with its correction");
  else {
    found.push("exploratory: not in the declared plan");
    if (slice.p !== null && slice.p < alpha) found.push(`a hint, no finding: without any effect 1 in ${Math.round(1 / alpha)} slices looks like this`);
    if (slice.low !== null && slice.high !== null && slice.low <= 0 && slice.high >= 0 && (slice.p === null || slice.p >= alpha)) found.push("not settled: the interval holds 0");
    if (isTold) looked.add(JSON.stringify([ask.trial, ask.temp, metric.name, ask.values, ask.search]));
    if (isTold && looked.size > 1) found.push(`this is the ${ordinal(looked.size)} slice looked at: multiply p by ${looked.size}`);
  }
  if (trial.looked) found.push("not corrected for planned looks: the verdict is");
  if (slice.counts.won + slice.counts.lost < 10) found.push("fewer than 10 items changed");
  if (metric.judge) found.push("a judge's word, not corrected by labels");
  if (slice.not_decidable) found.push(slice.not_decidable);
  if (slice.p === null && slice.pairs && slice.clusters !== 1) found.push("p is computed by `batchtrial view` only");
  return [...found, ...(slice.warnings || []).filter((one) => !/items? changed$/.test(one))];
}

/** One row of a forest: the interval against no difference. */
/** @type {(slice: Compared, metric: Metric) => Element | null} */
function bar(slice, metric) {
  if (slice.low === null || slice.high === null || slice.low === slice.high) return null;
  const reach = Math.max(Math.abs(slice.low), Math.abs(slice.high), metric.is_share ? 0.02 : 0) * 1.1;
  const at = (value) => `${50 + (value / reach) * 50}%`;
  const line = el("span", { class: "line" });
  line.style.left = at(slice.low);
  line.style.width = `${((slice.high - slice.low) / reach) * 50}%`;
  const dot = el("span", { class: "point" });
  dot.style.left = at(slice.value);
  return el("div", { class: "slicebar", "aria-hidden": "true" }, el("span", { class: "middle" }), line, dot);
}

/** What is filtered, in words, with a button that takes everything back. */
/** @type {(ask: Ask, onclear: () => void) => Element | null} */
export function filtered(ask, onclear) {
  if (isEverything(ask)) return null;
  return el("button", { type: "button", class: "clear", text: chosenByOutcome(ask) ? "show all pairs (clears chips and filters)" : "show all pairs", onclick: onclear });
}
