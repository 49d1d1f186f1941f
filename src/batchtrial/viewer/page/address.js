// The state of the page and its address: whatever is chosen stands behind the #, and can be sent to somebody.
/** @import { About, Ask, State, Trial } from "./types" */

import { LABELLED, MARK, OUTCOME, SAID, VERDICT, WHERE, ordersOf, rangesOf } from "./words.js";

/** @type {State} */
export const EMPTY = {
  run: "", trial: "", temp: 0, metric: "", chips: [], values: {}, ranges: {}, labelled: "", judged: {}, hidden: [],
  search: { text: "", where: "any", is_pattern: false }, sort: "place", is_down: false, item: null, view: "raw", arms: "two",
};
const LONGEST_TEXT = 400;
const SEPARATOR = "\u001f";

/** The state that an address says, and what of it says nothing. */
/** @type {(hash: string) => { state: State, odd: string[] }} */
export function fromAddress(hash) {
  const state = structuredClone(EMPTY);
  const odd = [];
  const end = (text) => (text === undefined ? null : Number(text));
  const listed = (value, mark) => (value ? value.split(mark) : []);
  for (const [key, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    const range = /^(-?[\d.]+(?:e[-+]?\d+)?)?\.\.(-?[\d.]+(?:e[-+]?\d+)?)?$/.exec(value);
    if (key.startsWith("is.")) state.values[key.slice(3)] = listed(value, SEPARATOR);
    else if (key.startsWith("in.") && range && range.slice(1).every((one) => one === undefined || Number.isFinite(Number(one)))) state.ranges[key.slice(3)] = [end(range[1]), end(range[2])];
    else if (key.startsWith("says.")) state.judged[key.slice(5)] = value;
    else if (key === "chips") state.chips = listed(value, ",");
    else if (key === "hide") state.hidden = listed(value, ",");
    else if (key === "text") state.search.text = value.slice(0, LONGEST_TEXT);
    else if (key === "where") state.search.where = value;
    else if (key === "pattern") state.search.is_pattern = value === "1";
    else if (key === "down") state.is_down = value === "1";
    else if (key === "temp" && Number.isFinite(Number(value))) state.temp = Number(value);
    else if (key === "item" && /^\d{1,9}$/.test(value)) state.item = Number(value);
    else if (["run", "trial", "metric", "labelled", "sort", "view", "arms"].includes(key)) state[key] = value;
    else odd.push(`${key}=${value}`);
  }
  return { state, odd };
}

/** Leave out of a state what a run does not have, and put it among what says nothing. n: how many items there are; hidable: columns of the table. */
/** @type {(state: State, odd: string[], about: About, n: number, hidable: string[]) => void} */
export function settle(state, odd, about, n, hidable) {
  const has = (names, name) => Object.hasOwn(names, name);
  const only = (names, key, chosen, first) => {
    if (has(names, chosen)) return chosen;
    odd.push(`${key}=${chosen}`);
    return first;
  };
  const kept = (entries, key, isKnown) => Object.fromEntries(Object.entries(entries).filter(([name, value]) => isKnown(name, value) || void odd.push(`${key}${name}=${[value].flat().map((one) => one ?? "").join(key === "in." ? ".." : ",")}`)));
  const trial = trialOf(state, odd, about);
  if (state.metric && !trial.metrics.some((one) => one.name === state.metric)) {
    odd.push(`metric=${state.metric}`);
    state.metric = "";
  }
  state.chips = state.chips.filter((one) => has(OUTCOME, one) || has(MARK, one) || /^reason:./.test(one) || void odd.push(`chips=${one}`));
  state.hidden = state.hidden.filter((one) => hidable.includes(one) || void odd.push(`hide=${one}`));
  state.values = kept(state.values, "is.", (name, wanted) => has(about.choices, name) && wanted.length && wanted.every((one) => about.choices[name].includes(one)));
  state.ranges = kept(state.ranges, "in.", (name) => has(rangesOf(trial), name));
  state.judged = kept(state.judged, "says.", (name, said) => has(SAID, said) && trial.metrics.some((one) => one.name === name && one.judge));
  state.labelled = only({ ...LABELLED, ...VERDICT }, "labelled", state.labelled, "");
  state.search.where = only(WHERE, "where", state.search.where, "any");
  state.sort = only(ordersOf(trial), "sort", state.sort, "place");
  state.view = only({ raw: 1, diff: 1 }, "view", state.view, "raw");
  state.arms = only(about.arms.length > 2 ? { two: 1, all: 1 } : { two: 1 }, "arms", state.arms, "two");
  if (state.item !== null && state.item >= n) {
    odd.push(`item=${state.item}`);
    state.item = null;
  }
}

/** The trial that a state means; what it says of no trial is left out of it. */
/** @type {(state: State, odd: string[], about: About) => Trial} */
function trialOf(state, odd, about) {
  const named = about.trials.filter((one) => one.slug === state.trial);
  const mine = named.length ? named : about.trials;
  const found = mine.find((one) => one.temp === state.temp) || mine[0];
  if (state.trial && !named.length) odd.push(`trial=${state.trial}`);
  if (state.temp && found.temp !== state.temp) odd.push(`temp=${state.temp}`);
  state.trial = named.length || (state.temp && found.temp === state.temp) ? found.slug : "";
  state.temp = state.trial ? found.temp : 0;
  return found;
}

/** The address of a state: only what differs from the empty one. */
/** @type {(state: State) => string} */
export function toAddress(state) {
  const made = new URLSearchParams();
  for (const key of ["run", "trial", "metric", "labelled", "sort", "view", "arms"]) if (state[key] !== EMPTY[key]) made.set(key, state[key]);
  if (state.temp) made.set("temp", String(state.temp));
  if (state.chips.length) made.set("chips", state.chips.join(","));
  for (const [key, value] of Object.entries(state.values)) made.set(`is.${key}`, value.join(SEPARATOR));
  for (const [key, [low, high]] of Object.entries(state.ranges)) made.set(`in.${key}`, `${low === null ? "" : low}..${high === null ? "" : high}`);
  if (state.hidden.length) made.set("hide", state.hidden.join(","));
  for (const [key, value] of Object.entries(state.judged)) made.set(`says.${key}`, value);
  if (state.search.text) made.set("text", state.search.text);
  if (state.search.where !== "any") made.set("where", state.search.where);
  if (state.search.is_pattern) made.set("pattern", "1");
  if (state.is_down) made.set("down", "1");
  if (state.item !== null) made.set("item", String(state.item));
  return `#${made}`;
}

/** What of a state is asked of the pairs. */
/** @type {(state: State) => Ask} */
export function askOf(state) {
  const { trial, temp, metric, chips, values, ranges, labelled, judged, search, sort, is_down } = state;
  return { trial, temp, metric, chips, values, ranges, labelled, judged, search, sort, is_down };
}

/** Whether a slice hangs on what the arms answered. */
/** @type {(ask: Ask) => boolean} */
export function chosenByOutcome(ask) {
  return Boolean(ask.chips.length || Object.keys(ask.ranges).length || ask.labelled || Object.keys(ask.judged).length || (ask.search.text && ask.search.where !== "question"));
}

/** What an item's label is kept under: labels are of a trial. */
/** @type {(ask: { trial: string, temp: number }, key: string) => string} */
export function slotOf(ask, key) {
  return `${ask.trial}/${ask.temp}/${key}`;
}

/** Whether nothing is filtered. */
/** @type {(ask: Ask) => boolean} */
export function isEverything(ask) {
  return !chosenByOutcome(ask) && !Object.keys(ask.values).length && !ask.search.text;
}
