// The page: one state, its address, and everything drawn from it. Two doors: a file that carries its data, and a server.
/** @import { Found, Metric, Shown, Source, Store, Trial } from "./types" */

import { EMPTY, askOf, fromAddress, settle, toAddress } from "./address.js";
import { asked, serverSource } from "./at_server.js";
import { asMarkdown, believed, detail, promptChanges } from "./detail.js";
import { el, put, short, shownText, visible } from "./dom.js";
import { chips, fields, filtered, sliceLine } from "./filters.js";
import { fileSource } from "./in_file.js";
import { labelling, storeAtServer, storeInPage } from "./labels.js";
import { count, difference, level, pText } from "./numbers.js";
import { forests, histogram, scatter } from "./pictures.js";
import { runList } from "./runs.js";
import { COLUMNS, grid, paper } from "./table.js";
import { armsShown } from "./words.js";

const AGAIN = 5000;
const SLOW = 400;
const HIDABLE = Object.keys(COLUMNS).filter((name) => name !== "id");
const KEYS = [["j, k", "next, previous"], ["n, p", "next, previous lost"], ["/", "search"], ["d", "diff"], ["l", "label blind"], ["1 2 3 4 x", "while labelling: first, second, same, both bad, cannot compare"], ["u", "undo a label"], ["Esc", "close"], ["?", "this help"]];

/** The trials to choose from: declared ones, then other two arms. */
/** @type {(trials: Trial[], chosen: Trial) => Element[]} */
function trialOptions(trials, chosen) {
  const option = (one) => el("option", { value: JSON.stringify({ trial: one.slug, temp: one.temp }), text: `${visible(one.slug)}${one.temp ? `, temperature ${one.temp}` : ""}`, selected: one === chosen });
  /** @type {[label: string, mine: Trial[]][]} */
  const every = [["declared", trials.filter((one) => one.is_declared)], ["other two arms (exploratory)", trials.filter((one) => !one.is_declared)]];
  const groups = every.filter(([, mine]) => mine.length);
  return groups.length > 1 ? groups.map(([label, mine]) => el("optgroup", { label }, mine.map(option))) : trials.map(option);
}

/** @type {Found} */
const NOTHING = { n: 0, chips: {}, slice: null, at: null };

/** @type {(error: Error) => Element} */
function warning(error) {
  return el("p", { class: "warn", text: visible(error.message) });
}

/** Load the page anew once the viewer answers: one that is away must not leave a browser's own page of an error. */
/** @type {(root: Element) => Promise<void>} */
async function lookAgain(root) {
  try {
    await asked("api/about");
    location.reload();
  } catch (error) {
    put(root.querySelector("[role=status]") || root, warning(error));
    setTimeout(() => lookAgain(root), AGAIN);
  }
}

/** Show a run. */
/** @type {(root: Element, source: Source, store: Store, isReadOnly: boolean) => Promise<unknown>} */
async function runPage(root, source, store, isReadOnly) {
  const about = source.about;
  let { state, odd } = fromAddress(location.hash);
  let result = NOTHING;
  let labelled = null;
  let turn = 0;
  let papering = 0;
  let lastPaper = null;
  const trialOf = () => about.trials.find((one) => one.slug === state.trial && one.temp === state.temp) || about.trials[0];
  const metricOf = () => trialOf().metrics.find((one) => one.name === state.metric) || trialOf().metrics[0];

  const parts = Object.fromEntries(["top", "extras", "more", "chips", "fields", "slice", "pictures", "message"].map((name) => [name, el("div", { class: name })]));
  parts.slice.setAttribute("role", "status");
  parts.message.setAttribute("role", "status");
  const table = grid(picked);
  const panel = el("aside", { class: "panel", "aria-label": "item", tabindex: -1 });
  const sheet = el("div", { class: "sheet" });
  const pictures = el("details", { class: "box", ontoggle: () => drawPictures() }, el("summary", { text: "pictures: length and score changes (drag to filter)" }), parts.pictures);
  const filters = el("details", { class: "filters", open: window.innerWidth > 760 }, el("summary", { text: "search, filters, order" }), parts.fields);
  const work = el("div", { class: "work" }, table.body, panel);

  if (!about.trials.length) {
    if (source.isLive) setTimeout(() => lookAgain(root), AGAIN);
    return put(root, el("main", {}, el("h1", { text: "Nothing to compare" }), el("p", { text: about.nothing || `No pair is scored.${source.isLive ? " The page fills by itself once both arms of a trial are scored." : ""}` }), el("div", { role: "status" })));
  }
  put(root, el("main", {}, parts.top, parts.extras, el("section", { class: "filterbox", "aria-label": "filter" }, parts.chips, filters), parts.slice, parts.message, work, sheet));
  understood();
  columnMenu();

  function columnMenu() {
    const boxes = HIDABLE.map((name) => el("label", { class: "check" }, el("input", { type: "checkbox", checked: !state.hidden.includes(name), onchange: (event) => {
      change({ hidden: [...state.hidden.filter((one) => one !== name), ...(event.target.checked ? [] : [name])] });
      show();
    } }), ` ${COLUMNS[name]}`));
    put(parts.extras, parts.more, pictures, el("details", { class: "box columns" }, el("summary", { text: "columns" }), el("div", { class: "choices" }, boxes)),
      el("button", { type: "button", text: "worst regressions", onclick: () => change({ chips: ["lost"], sort: "effect", is_down: false, item: null }) }),
      el("button", { type: "button", class: "labelbutton", text: "label blind (l)", onclick: () => label(undefined) }), el("button", { type: "button", text: "keys (?)", onclick: help }));
  }

  function drawTop() {
    const trial = trialOf();
    const several = about.trials.length > 1;
    const plots = forests(trial.tests);
    put(parts.top,
      about.banner ? el("p", { class: "banner", role: "note", text: about.banner }) : null,
      el("h1", { text: `${visible(trial.title)} against ${visible(trial.against)}` }),
      el("div", { class: "choices" },
        several ? el("label", {}, "trial ", el("select", { id: "trial", onchange: (event) => change({ ...JSON.parse(event.target.value), item: null, chips: [], values: {}, ranges: {}, judged: {} }) },
          trialOptions(about.trials, trial))) : null,
        el("label", {}, "compared by ", el("select", { id: "metric", onchange: (event) => change({ metric: event.target.value, chips: [] }) },
          trial.metrics.map((one) => el("option", { value: one.name, text: visible(one.title), selected: one === metricOf() })))),
        about.arms.length > 2 ? el("label", {}, "columns for ", el("select", { id: "arms", onchange: (event) => widen(event.target.value) },
          [["two", "these two arms"], ["all", `all ${count(about.arms.length)} arms`]].map(([value, text]) => el("option", { value, text, selected: value === state.arms })))) : null),
      trial.headline ? el("p", { class: "verdict", text: visible(trial.headline) }) : null,
      trial.is_declared ? null : el("p", { class: "warn", text: "No declared contrast compares these two arms: everything here is exploratory." }),
      about.unlisted ? el("p", { class: "quiet", text: `${count(about.unlisted)} further pairs of arms, which no contrast declares, are too many to be listed here. Those that \`batchtrial grow\` adds to the config's contrasts are.` }) : null,
      source.part ? el("p", { class: "warn", text: source.part }) : null);
    put(parts.more, el("details", { class: "box" }, el("summary", { text: "what the treatment changed in the prompts" }), ...promptChanges(trial)),
      plots.length ? el("details", { class: "box" }, el("summary", { text: "results of the whole trial" }), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "results of the whole trial" }, plots),
        el("p", { class: "quiet", text: "Bold: declared beforehand. Short upright line: the declared margin. Everything else is exploratory." })) : null,
      trial.judges.length ? el("details", { class: "box judges" }, el("summary", { text: "can the judges be believed?" }), ...trial.judges.flatMap(believed)) : null);
    document.title = `${visible(trial.slug)}: answers`;
  }

  function drawResult() {
    const [ask, trial, metric] = [askOf(state), trialOf(), metricOf()];
    put(parts.chips, chips(result.chips, state.chips, (chosen) => change({ chips: chosen, item: null })));
    put(parts.fields, fields(state, about, trial, (changes) => change({ ...changes, item: null }), drawResult));
    put(parts.slice, result.slice && sliceLine(result.slice, ask, metric, trial, about.alpha), filtered(ask, () => change({ ...structuredClone(EMPTY), run: state.run, trial: state.trial, temp: state.temp, metric: state.metric })));
  }

  async function drawPictures() {
    if (!pictures.open) return;
    let told;
    try {
      told = await source.pictures({ ...ask(), ranges: {} });
    } catch (error) {
      put(parts.pictures, warning(error));
      return;
    }
    const range = (name) => (value) => {
      const ranges = { ...state.ranges };
      if (value) ranges[name] = value;
      else delete ranges[name];
      change({ ranges, item: null });
    };
    put(parts.pictures, histogram("length change (characters)", told.length_change, state.ranges.length_change || null, range("length_change")),
      histogram(`change of ${visible(metricOf().title)}`, told.score_change, state.ranges.score_change || null, range("score_change")), scatter(told.scatter, (place) => change({ item: place })));
  }

  const isAll = () => state.arms === "all";
  const ask = () => ({ ...askOf(state), trial: trialOf().slug, temp: trialOf().temp, metric: metricOf().name });

  function show() {
    const asking = ask();
    table.show({ n: result.n, fetch: (first, n) => source.rows(asking, first, n, isAll()), metric: metricOf(), trial: trialOf(), about, others: armsShown(trialOf(), about, isAll()).slice(2), hidden: new Set(state.hidden), picked: result.at });
  }

  function widen(arms) {
    change({ arms });
    show();
    drawItem();
    keepPaper();
  }

  /** Go on from what the address says of things that this run has. */
  function understood() {
    settle(state, odd, about, source.n, HIDABLE);
    if (odd.length) history.replaceState(null, "", toAddress(state));
  }

  /** What of the address was left out, until something else is asked for. */
  function misread() {
    return odd.length ? el("p", { class: "warn", text: `Left out of the address, since this run has nothing of that name: ${odd.map((one) => short(one, 60)).join(", ")}` }) : null;
  }

  /** Where nothing got worse by the metric: by which others it did, each to be chosen. */
  async function worseByOthers() {
    const others = trialOf().metrics.filter((one) => one !== metricOf());
    const told = await Promise.all(others.map((one) => source.query({ ...ask(), metric: one.name }).catch(() => NOTHING)));
    const found = others.map((one, at) => /** @type {[Metric, number]} */ ([one, told[at].n])).filter(([, n]) => n);
    return el("p", { class: "warn" }, `Nothing got worse by ${visible(metricOf().title)} here${found.length ? ", but by " : ", nor by any other metric."}`,
      found.map(([one, n]) => el("button", { type: "button", text: `${visible(one.title)}: ${count(n)}`, onclick: () => change({ metric: one.name }) })));
  }

  /** Where every pair that got worse did so alike: by what else their order can be told. */
  function alike() {
    const [metric, finer] = [metricOf(), trialOf().metrics.filter((one) => !one.is_rate && one.is_share && !one.judge)];
    if (state.sort !== "effect" || !metric.is_rate || trialOf().samples > 1 || !finer.length || result.n < 2) return null;
    return el("p", { class: "quiet" }, `By ${visible(metric.title)} all of these got worse alike. How much worse each is: `,
      finer.map((one) => el("button", { type: "button", text: visible(one.title), onclick: () => change({ metric: one.name }) })));
  }

  const keepPaper = async () => { lastPaper = result.n ? await paper(source, ask(), trialOf(), isAll(), result.n).catch(() => null) : null; };

  async function load() {
    turn += 1;
    const mine = turn;
    const slow = setTimeout(() => { if (mine === turn) put(parts.message, el("p", { class: "quiet", text: "searching \u2026" })); }, SLOW);
    try {
      const told = await source.query(ask(), state.item);
      if (mine !== turn) return;
      result = told;
      const isLost = state.chips.length === 1 && state.chips[0] === "lost";
      put(parts.message, misread(), isLost ? (told.n ? alike() : await worseByOthers()) : null);
    } catch (error) {
      if (mine !== turn) return;
      result = NOTHING;
      put(parts.message, misread(), warning(error));
    } finally {
      clearTimeout(slow);
    }
    drawResult();
    show();
    drawPictures();
    document.documentElement.dataset.ready = String(mine);
    clearTimeout(papering);
    papering = setTimeout(keepPaper, 800);
  }

  function change(changes) {
    const before = JSON.stringify(ask());
    const focus = document.activeElement && document.activeElement.id;
    const trial = trialOf();
    state = { ...state, ...changes };
    odd = [];
    if (trialOf() !== trial) {
      unlabel();
      settle(state, [], about, source.n, HIDABLE);
    }
    const address = toAddress(state);
    if (location.hash !== address) history.replaceState(null, "", address);
    const isOther = trialOf() !== trial || "metric" in changes;
    if (isOther) drawTop();
    const done = JSON.stringify(ask()) === before ? Promise.resolve() : load();
    if ("item" in changes || (isOther && state.item !== null)) drawItem();
    return done.then(() => focus && document.getElementById(focus)?.focus());
  }

  async function picked(at, row) {
    result.at = at;
    await change({ item: row.place });
  }

  /** @type {{ key: string, item: Promise<Shown> | null }} */
  let held = { key: "", item: null };

  /** Everything about an item, asked for once while it is looked at. */
  function itemAt(place) {
    const key = JSON.stringify([trialOf().slug, trialOf().temp, metricOf().name, place]);
    if (held.key !== key) {
      const item = source.detail(ask(), place);
      const mine = { key, item };
      item.catch(() => { if (held === mine) held = { key: "", item: null }; });
      held = mine;
    }
    return /** @type {Promise<Shown>} */ (held.item);
  }

  /** Show another view of the item: what was opened stays open, and where one was stays in sight. */
  function putItem(key, made) {
    const isSame = panel.dataset.item === key;
    const [top, open] = [panel.scrollTop, new Set([...panel.querySelectorAll("details[open] > summary")].map((one) => one.textContent))];
    put(panel, made);
    panel.dataset.item = key;
    if (isSame) for (const one of panel.querySelectorAll("details > summary")) one.parentElement.open = open.has(one.textContent);
    panel.scrollTop = isSame ? top : 0;
  }

  async function drawItem() {
    work.classList.toggle("open", state.item !== null || labelled !== null);
    if (labelled) return;
    if (state.item === null) {
      put(panel);
      return;
    }
    work.scrollIntoView({ block: "nearest" });
    const place = state.item;
    try {
      const item = await itemAt(place);
      if (state.item !== place || labelled) return;
      store.seen.add(item.key);
      putItem(held.key, detail(item, trialOf(), about, {
        view: state.view, isAll: isAll(), onview: (view) => { change({ view }); drawItem(); }, oncopy: () => copy(asMarkdown(item, trialOf(), about, isAll(), location.href)), onlabel: () => label(place), onclose: () => close(),
      }));
    } catch (error) {
      put(panel, warning(error));
    }
  }

  function unlabel() {
    labelled = null;
    work.classList.remove("labelling");
  }

  function close() {
    if (labelled) {
      unlabel();
      load();
    }
    const at = table.at;
    result.at = null;
    change({ item: null });
    drawItem();
    if (at >= 0) table.body.querySelector("[aria-selected]")?.focus();
  }

  async function label(place) {
    if (isReadOnly) {
      put(parts.message, el("p", { class: "warn", text: "The viewer was started with --read_only: labels are not kept." }));
      return;
    }
    try {
      await store.open(ask());
    } catch (error) {
      put(parts.message, warning(error));
      return;
    }
    labelled = labelling(store, trialOf(), (at) => source.detail(ask(), at), () => close());
    put(panel, labelled.box);
    work.classList.add("open", "labelling");
    const drawn = store.queue().find((one) => one[1] === place);
    if (place === undefined) labelled.next();
    else labelled.show(place, drawn ? drawn[3] : Math.random() < 0.5, false);
    panel.focus();
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      put(parts.message, el("p", { text: "copied" }));
    } catch {
      put(parts.message, el("textarea", { readonly: true, rows: 6, "aria-label": "the item as Markdown", value: text }));
    }
  }

  function help() {
    const box = el("dialog", { "aria-label": "keys" }, el("h2", { text: "Keys" }), el("dl", {}, KEYS.map(([key, text]) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text })]).flat()), el("button", { type: "button", text: "close", onclick: () => box.remove() }));
    root.append(box);
    box.addEventListener("close", () => box.remove());
    box.showModal();
  }

  async function nextLost(step) {
    for (let at = table.at + step; at >= 0 && at < table.n; at += step) {
      if ((await table.rowAt(at)).outcome === "lost") return table.pick(at);
    }
    put(parts.message, el("p", { class: "quiet", text: "no further lost pair in this slice" }));
    return null;
  }

  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const isWriting = target.matches && target.matches("input:not([type=checkbox]), textarea, select");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (isWriting) target.blur();
      else if (!document.querySelector("dialog[open]")) close();
      return;
    }
    if (isWriting || document.querySelector("dialog[open]")) return;
    if (labelled && labelled.key(event.key)) {
      event.preventDefault();
      return;
    }
    const does = {
      j: () => table.pick(table.at + 1), k: () => table.pick(Math.max(0, table.at - 1)), n: () => nextLost(1), p: () => nextLost(-1), "/": () => { filters.open = true; document.getElementById("find")?.focus(); },
      d: () => { change({ view: state.view === "diff" ? "raw" : "diff" }); drawItem(); }, l: () => label(undefined), "?": help,
      ArrowDown: () => onGrid(1), ArrowUp: () => onGrid(-1), Enter: () => rowOf(target),
    }[event.key];
    if (!does) return;
    const used = does();
    if (used !== false) event.preventDefault();
  });

  function onGrid(step) {
    if (!table.body.contains(document.activeElement)) return false;
    table.pick(Math.max(0, table.at + step)).then(() => table.body.querySelector("[aria-selected]")?.focus());
    return true;
  }

  function rowOf(target) {
    const row = target.closest && target.closest(".grid .row[aria-rowindex]");
    if (!row || row.classList.contains("head")) return false;
    table.pick(Number(row.getAttribute("aria-rowindex")) - 2);
    return true;
  }

  window.addEventListener("hashchange", () => {
    const next = fromAddress(location.hash);
    if (next.state.run !== state.run && source.isLive) {
      location.reload();
      return;
    }
    ({ state, odd } = next);
    understood();
    columnMenu();
    drawTop();
    load();
    drawItem();
  });
  window.addEventListener("beforeprint", () => { if (lastPaper) put(sheet, lastPaper); });
  window.addEventListener("afterprint", () => put(sheet));

  drawTop();
  await load();
  drawItem();
  /** @type {any} */ (window).batchtrial = { source, numbers: { difference, level, pText } };
  document.documentElement.dataset.usable = String(Math.round(performance.now()));
}

async function start() {
  const root = /** @type {HTMLElement} */ (document.getElementById("page"));
  const inFile = document.getElementById("columns");
  try {
    if (inFile) {
      const source = await fileSource((name) => document.getElementById(name)?.textContent || "");
      await runPage(root, source, storeInPage(source), false);
      return;
    }
    const { read_only: isReadOnly } = await asked("api/about");
    const { run } = fromAddress(location.hash).state;
    if (run) {
      root.before(el("nav", {}, el("a", { href: "./", text: "all runs" })));
      const source = await serverSource(run);
      await runPage(root, source, storeAtServer(source), isReadOnly);
    } else {
      await runList(root, (id) => { location.hash = `#run=${encodeURIComponent(id)}`; location.reload(); }, isReadOnly);
    }
  } catch (error) {
    put(root, el("main", {}, el("h1", { text: "The page could not be shown" }), el("p", { class: "warn" }, shownText(error.message))));
  }
}

start();
