// Labels: two answers without their arms' names, a key each, kept as soon as the source says so.
/** @import { Drawn, File, Labels, Seen, Server, Shown, Store, Trial } from "./types" */

import { slotOf } from "./address.js";
import { givenText } from "./detail.js";
import { el, put } from "./dom.js";

const BY_KEY = { 1: "first", 2: "second", 3: "same", 4: "both_bad", 5: "cannot", x: "cannot" };

/** The labelling panel. store: { open(ask), queue, labels, add(label), undo(id) }, open; detailOf: place -> item; onclose. */
/** @type {(store: Store, trial: Trial, detailOf: (place: number) => Promise<Shown>, onclose: () => void) => { box: Element, next(): Promise<unknown>, show(place: number, flip: boolean, isRepeat: boolean): Promise<void>, key(name: string): boolean }} */
export function labelling(store, trial, detailOf, onclose) {
  const box = el("section", { class: "labelling", "aria-label": "label answers blind" });
  const [status, content] = [el("span"), el("div")];
  /** @type {{ at: number, item: Shown | null, flip: boolean, isRepeat: boolean, isBlind: boolean, busy: boolean, isOver: boolean, last: { id: string, who: string, at: number, flip: boolean, isRepeat: boolean }[], message: string }} */
  const state = { at: 0, item: null, flip: false, isRepeat: false, isBlind: true, busy: false, isOver: false, last: [], message: "" };
  const who = el("input", { id: "who", autocomplete: "off", maxlength: 80, value: remembered("who"), placeholder: "your name", onkeydown: leave, onchange: () => { remember("who", who.value); state.message = ""; next(); } });
  const tags = el("input", { autocomplete: "off", maxlength: 400, placeholder: "tags, separated by commas", onkeydown: leave });
  const note = el("input", { autocomplete: "off", maxlength: 2000, placeholder: "note", onkeydown: leave });

  const foot = el("div", { class: "choices" }, tags, note);

  /** Enter ends writing, so that the next key is a label again. */
  function leave(event) {
    if (event.key === "Enter") event.target.blur();
  }

  const mine = () => store.labels().filter((one) => one.who === who.value.trim());
  const isDone = (/** @type {Drawn} */ [key, , isRepeat, , mark]) => mine().some((one) => one.item_key === key && one.trial === trial.slug && (one.temp ?? 0) === trial.temp && Boolean(one.is_repeat) === Boolean(isRepeat) && (!one.about || one.about === mark));

  async function next() {
    const queue = store.queue();
    const open = queue.find((one) => !isDone(one));
    if (!open) {
      Object.assign(state, { item: null, isOver: true });
      return draw();
    }
    return show(open[1], open[3], open[2]);
  }

  async function show(place, flip, isRepeat) {
    try {
      const item = await detailOf(place);
      Object.assign(state, { item, at: place, flip: Boolean(flip), isRepeat: Boolean(isRepeat), isBlind: !store.seen.has(item.key) });
    } catch (error) {
      state.message = [state.message, `the item cannot be shown: ${error.message}`].filter(Boolean).join("; ");
    }
    draw();
  }

  /** One thing after another: a key that comes before the last one is answered does nothing. Taken at once, `u` took back the label before. */
  async function alone(does) {
    if (state.busy) return;
    state.busy = true;
    await does();
    state.busy = false;
  }

  function sides() {
    const arms = [trial.control, trial.treatment];
    return state.flip ? arms.reverse() : arms;
  }

  function verdictOf(key) {
    const choice = BY_KEY[key];
    if (choice === "first" || choice === "second") return (choice === "first") === state.flip ? "better" : "worse";
    return choice;
  }

  async function give(key) {
    if (!state.item) return;
    if (!who.value.trim()) {
      state.message = "Say who you are first, then Enter: labels carry a name.";
      draw();
      who.focus();
      return;
    }
    const label = {
      item_key: state.item.key, trial: trial.slug, temp: trial.temp, sample: 0, who: who.value.trim(), verdict: verdictOf(key), is_blind: state.isBlind, is_repeat: state.isRepeat,
      about: store.queue().find((one) => one[1] === state.at)?.[4] || "", order: state.flip ? "treatment_first" : "control_first", tags: tags.value.split(",").map((one) => one.trim()).filter(Boolean), note: note.value,
      id: Array.from(crypto.getRandomValues(new Uint8Array(8)), (one) => one.toString(16).padStart(2, "0")).join(""),
    };
    try {
      await store.add(label);
    } catch (error) {
      state.message = `${error.isUnknown ? "perhaps kept" : "not kept"}: ${error.message}`;
      draw();
      return;
    }
    state.last.push({ id: label.id, who: label.who, at: state.at, flip: state.flip, isRepeat: state.isRepeat });
    state.message = store.keptWhere;
    tags.value = note.value = "";
    await next();
  }

  async function undo() {
    const last = state.last.at(-1);
    if (!last) return;
    try {
      await store.undo(last.id, last.who);
    } catch (error) {
      state.message = `${error.isUnknown ? "perhaps taken back" : "not taken back"}: ${error.message}`;
      draw();
      return;
    }
    state.last.pop();
    state.message = "taken back";
    await show(last.at, last.flip, last.isRepeat);
  }

  function draw() {
    const queue = store.queue();
    const done = queue.filter(isDone).length;
    put(status, el("span", { role: "status", text: `${done} of ${queue.length} labelled${state.message ? ` \u00b7 ${state.message}` : ""}` }));
    foot.style.display = state.item ? "" : "none";
    const { item } = state;
    if (!item) return put(content, state.isOver && el("p", { text: queue.length ? "Everything that was drawn is labelled. Thank you." : "Nothing was drawn to label." }));
    const buttons = [["1", "first is better"], ["2", "second is better"], ["3", "same"], ["4", "both bad"], ["x", "cannot compare"]];
    return put(content, el("p", { class: "quiet", text: state.isBlind ? "The order of the two answers is shuffled, and their arms are not named." : "You have seen this item with its arms named: the label says that it is not blind." }),
      el("h3", { text: "question" }), el("div", { class: "text" }, givenText(item, "question", item.question)),
      item.context ? el("details", { open: true }, el("summary", { text: "passage" }), el("div", { class: "text" }, givenText(item, "context", item.context))) : null,
      el("div", { class: "two" }, sides().map((arm, at) => el("section", { class: "arm" }, el("h3", { text: at ? "second answer (2)" : "first answer (1)" }), el("div", { class: "text" }, givenText(item, `answer/${arm}/0`, item.by_arm[arm][0].text || "(no answer)"))))),
      el("div", { class: "choices" }, buttons.map(([key, text]) => el("button", { type: "button", onclick: () => alone(() => give(key)) }, el("kbd", { text: key }), ` ${text}`)), el("button", { type: "button", disabled: !state.last.length, onclick: () => alone(undo) }, el("kbd", { text: "u" }), " undo")));
  }

  // Head and foot stay where they are: a field that is written in keeps its focus while items come.
  box.append(el("div", { class: "bar" }, el("h2", { text: "Label answers" }), el("label", {}, "who ", who), status,
    store.download ? el("button", { type: "button", text: "download labels", onclick: store.download }) : null, el("button", { type: "button", class: "close", "aria-label": "leave labelling", text: "\u00d7", onclick: onclose })), content, foot);
  draw();
  return {
    box, next, show,
    /** Whether the key meant something here. */
    key(name) {
      if (name in BY_KEY) alone(() => give(name));
      else if (name === "u") alone(undo);
      else return false;
      return true;
    },
  };
}

/** @type {(what: string) => string} */
function remembered(what) {
  try {
    return localStorage.getItem(`batchtrial-${what}`) || "";
  } catch {
    return "";
  }
}

/** @type {(what: string, value: string) => void} */
function remember(what, value) {
  try {
    localStorage.setItem(`batchtrial-${what}`, value);
  } catch {
    // A browser that keeps nothing asks again next time.
  }
}

/** What was seen of a run with its arms named: a label of it is not blind, also after the page was loaded anew. */
/** @type {(run: string) => Seen} */
function seenOf(run) {
  const here = new Set();
  const known = () => new Set([...(remembered(`seen-${run}`) || "").split("\n").filter(Boolean), ...here]);
  const marked = (key) => encodeURIComponent(key.toWellFormed());
  return {
    has: (key) => known().has(marked(key)),
    add(key) {
      here.add(marked(key));
      remember(`seen-${run}`, [...known()].join("\n"));
    },
  };
}

/** Labels in a page that carries its data: kept in the page, handed on as a file. */
/** @type {(source: File) => Store} */
export function storeInPage(source) {
  const kept = [];
  let trial = null;
  let isOnlyHere = false;
  window.addEventListener("beforeunload", (event) => { if (isOnlyHere) event.preventDefault(); });
  const told = () => {
    source.labels.clear();
    for (const one of kept) source.labels.set(slotOf(one, one.item_key), one.verdict);
    isOnlyHere = kept.length > 0;
  };
  return {
    seen: seenOf(source.about.config),
    keptWhere: "kept in this page until you leave it: download them",
    async open(ask) { trial = source.about.trials.find((one) => one.slug === ask.trial && one.temp === ask.temp); },
    queue: () => trial.queue,
    labels: () => kept,
    async add(label) {
      kept.push({ ...label, at: new Date().toISOString() });
      told();
    },
    async undo(id) {
      const at = kept.findIndex((one) => one.id === id);
      if (at >= 0) kept.splice(at, 1);
      told();
    },
    download() {
      const lines = kept.map((one) => JSON.stringify(one)).join("\n");
      const link = el("a", { href: URL.createObjectURL(new Blob([`${lines}\n`], { type: "application/jsonl" })), download: "labels.jsonl" });
      link.click();
      isOnlyHere = false;
      URL.revokeObjectURL(link.href);
    },
  };
}

/** Labels of a run on the server. */
/** @type {(source: Server) => Store} */
export function storeAtServer(source) {
  /** @type {Labels} */
  let told = { queue: [], labels: [] };
  /** @type {any} */
  let about = null;
  return {
    seen: seenOf(source.run),
    keptWhere: "kept",
    async open(ask) {
      about = ask;
      told = await source.judgements(ask);
    },
    queue: () => told.queue,
    labels: () => told.labels,
    async add(label) { told = await source.label(about, { label }); },
    async undo(id, who) { told = await source.label(about, { undo: id, who }); },
  };
}
