// The state of the page and its address: whatever is chosen stands behind the #, and can be sent to somebody.

export const EMPTY = {
  run: "", trial: "", temp: 0, metric: "", chips: [], values: {}, ranges: {}, labelled: "", judged: {}, hidden: [],
  search: { text: "", where: "any", is_pattern: false }, sort: "place", is_down: false, item: null, view: "raw",
};

/** The state that an address says, over a first state. */
export function fromAddress(hash, first = EMPTY) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const state = structuredClone(first);
  for (const [key, value] of given) {
    if (key.startsWith("is.")) state.values[key.slice(3)] = value ? value.split("\u001f") : [];
    else if (key.startsWith("in.")) state.ranges[key.slice(3)] = value.split("..").map((one) => (one === "" || !Number.isFinite(Number(one)) ? null : Number(one))).slice(0, 2);
    else if (key.startsWith("says.")) state.judged[key.slice(5)] = value;
    else if (key === "chips") state.chips = value ? value.split(",") : [];
    else if (key === "hide") state.hidden = value ? value.split(",") : [];
    else if (key === "text") state.search.text = value;
    else if (key === "where") state.search.where = value;
    else if (key === "pattern") state.search.is_pattern = value === "1";
    else if (key === "down") state.is_down = value === "1";
    else if (key === "temp") state.temp = Number(value) || 0;
    else if (key === "item") state.item = /^\d+$/.test(value) ? Number(value) : null;
    else if (["run", "trial", "metric", "labelled", "sort", "view"].includes(key)) state[key] = value;
  }
  for (const [key, value] of Object.entries(state.ranges)) if (value.length < 2) delete state.ranges[key];
  return state;
}

/** The address of a state: only what differs from the empty one. */
export function toAddress(state) {
  const made = new URLSearchParams();
  for (const key of ["run", "trial", "metric", "labelled", "sort", "view"]) if (state[key] !== EMPTY[key]) made.set(key, state[key]);
  if (state.temp) made.set("temp", String(state.temp));
  if (state.chips.length) made.set("chips", state.chips.join(","));
  for (const [key, value] of Object.entries(state.values)) made.set(`is.${key}`, value.join("\u001f"));
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
export function askOf(state) {
  const { trial, temp, metric, chips, values, ranges, labelled, judged, search, sort, is_down } = state;
  return { trial, temp, metric, chips, values, ranges, labelled, judged, search, sort, is_down };
}

/** Whether a slice hangs on what the arms answered. */
export function chosenByOutcome(ask) {
  return Boolean(ask.chips.length || Object.keys(ask.ranges).length || ask.labelled || Object.keys(ask.judged).length || (ask.search.text && ask.search.where !== "question"));
}

/** What an item's label is kept under: labels are of a trial. */
export function slotOf(ask, key) {
  return `${ask.trial}/${ask.temp}/${key}`;
}

/** Whether nothing is filtered. */
export function isEverything(ask) {
  return !chosenByOutcome(ask) && !Object.keys(ask.values).length && !ask.search.text;
}
