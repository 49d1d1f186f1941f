// The pairs as a grid of which only the rows in sight exist. Rows come by blocks, from wherever the source has them.
/** @import { About, Ask, Metric, Other, Row, Source, Trial } from "./types" */

import { el, put, visible } from "./dom.js";
import { count, difference, level } from "./numbers.js";
import { MARK, OUTCOME, VERDICT, armName, armsShown, calledArm } from "./words.js";

const BLOCK = 50;
const AROUND = 6;
const NARROW = 760;
export const COLUMNS = { id: "item", question: "question", control: "control", treatment: "treatment", score: "score", label: "label" };

/** The grid. onpick: called with (position, row) when a row is chosen. */
/** @type {(onpick: (at: number, row: Row) => void) => any} */
export function grid(onpick) {
  const sizer = el("div", { class: "rows", role: "rowgroup" });
  const head = el("div", { class: "row head", role: "row", "aria-rowindex": 1 });
  const body = el("div", { class: "grid", role: "grid", "aria-label": "pairs", tabindex: -1 }, el("div", { role: "rowgroup", class: "headgroup" }, head), sizer);
  /** @type {any} */
  const state = { n: 0, fetch: null, blocks: new Map(), shown: new Map(), at: 0, metric: null, trial: null, hidden: new Set(), turn: 0, about: null, others: [] };

  const height = () => parseFloat(getComputedStyle(body).getPropertyValue("--row")) || 58;

  async function blockOf(at) {
    const number = Math.floor(at / BLOCK);
    if (!state.blocks.has(number)) {
      if (state.blocks.size > 60) state.blocks.clear();
      state.blocks.set(number, state.fetch(number * BLOCK, BLOCK));
    }
    return state.blocks.get(number);
  }

  async function rowAt(at) {
    return (await blockOf(at))[at % BLOCK];
  }

  function draw() {
    const size = height();
    sizer.style.height = `${state.n * size}px`;
    const first = Math.max(0, Math.floor(body.scrollTop / size) - AROUND);
    const last = Math.min(state.n, Math.ceil((body.scrollTop + body.clientHeight) / size) + AROUND);
    for (const [at, row] of state.shown) {
      if (at < first || at >= last) {
        row.remove();
        state.shown.delete(at);
      }
    }
    for (let at = first; at < last; at += 1) if (!state.shown.has(at)) add(at, size);
  }

  function add(at, size) {
    const row = el("div", { class: "row", role: "row", "aria-rowindex": at + 2, tabindex: at === state.at ? 0 : -1, onclick: () => pick(at), onfocus: () => { state.at = at; } },
      el("div", { role: "gridcell", class: "wait", text: "\u2026" }));
    row.style.top = `${at * size}px`;
    if (at === state.picked) row.setAttribute("aria-selected", "true");
    state.shown.set(at, row);
    const after = [...state.shown].filter(([other]) => other > at).sort((a, b) => a[0] - b[0])[0];
    sizer.insertBefore(row, after ? after[1] : null);
    const turn = state.turn;
    rowAt(at).then((told) => {
      if (turn === state.turn && told && state.shown.get(at) === row) put(row, cells(told, state));
    }, (error) => put(row, el("div", { role: "gridcell", text: error.message })));
  }

  async function pick(at) {
    if (at < 0 || at >= state.n) return;
    const before = state.shown.get(state.picked);
    if (before) before.removeAttribute("aria-selected");
    state.at = state.picked = at;
    const [size, head] = [height(), 31];
    const top = at * size;
    if (top < body.scrollTop) body.scrollTop = top;
    else if (top + size > body.scrollTop + body.clientHeight - head) body.scrollTop = top + size - body.clientHeight + head;
    draw();
    for (const [other, row] of state.shown) row.setAttribute("tabindex", other === at ? 0 : -1);
    state.shown.get(at).setAttribute("aria-selected", "true");
    onpick(at, await rowAt(at));
  }

  body.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  /** Columns of further arms: beside the others, in a grid that may be wider than its box; on a phone below them, in rows that are higher. */
  function widen() {
    const n = state.others.length;
    const texts = n + ["question", "control", "treatment"].filter((name) => !state.hidden.has(name)).length;
    const tracks = ["11.5rem", `repeat(${texts}, minmax(10rem, 1fr))`, ...(state.hidden.has("score") ? [] : ["9.5rem"]), ...(state.hidden.has("label") ? [] : ["8rem"])];
    body.style.setProperty("--tracks", tracks.join(" "));
    body.style.setProperty("--wide", `${32 + 11 * texts}rem`);
    if (n && window.innerWidth <= NARROW) body.style.setProperty("--row", `${132 + 23 * n}px`);
    else body.style.removeProperty("--row");
  }

  new ResizeObserver(() => { widen(); state.shown.forEach((row) => row.remove()); state.shown.clear(); draw(); }).observe(body);
  return {
    body,
    /** Show other pairs. fetch: (first, n) -> rows; others: arms that have a column beside the two; picked: the position of the one that is looked at. */
    show({ n, fetch, metric, trial, about, others, hidden, picked = null }) {
      Object.assign(state, { n, fetch, metric, trial, about, others, hidden, at: picked ?? 0, picked: picked ?? -1, turn: state.turn + 1 });
      state.blocks.clear();
      sizer.replaceChildren();
      state.shown.clear();
      body.scrollTop = 0;
      body.setAttribute("aria-rowcount", n + 1);
      body.classList.toggle("empty", !n);
      const first = (name, samples) => `${name}${samples > 1 ? `, 1st of ${samples}` : ""}`;
      const named = { score: metric.title, control: first(armName(trial, 0), trial.samples), treatment: first(armName(trial, 1), trial.samples) };
      const further = others.map((arm) => el("div", { role: "columnheader", class: "other", text: visible(first(calledArm(trial, about, arm), about.arms[arm].samples)) }));
      put(head, Object.entries(COLUMNS).flatMap(([name, text]) => [...(name === "score" ? further : []), ...(hidden.has(name) ? [] : [el("div", { role: "columnheader", class: name, text: visible(named[name] || text) })])]));
      body.className = `grid ${[...hidden].map((name) => `no-${name}`).join(" ")}${n ? "" : " empty"}${others.length ? " all" : ""}`;
      widen();
      sizer.style.height = `${n * height()}px`;
      if (picked) body.scrollTop = picked * height();
      draw();
    },
    pick,
    rowAt,
    get at() { return state.picked; },
    get n() { return state.n; },
  };
}

/** @type {(row: Row, state: { hidden: Set<string>, metric: Metric, trial: Trial, about: About }) => Element[]} */
function cells(row, state) {
  const [sign, name] = OUTCOME[row.outcome];
  const marks = row.marks.map((mark) => MARK[mark] || mark.replace("reason:", "").replaceAll("_", " "));
  const made = {
    id: [el("span", { class: `outcome ${row.outcome}` }, el("b", { "aria-hidden": "true", text: sign }), ` ${name}`), el("span", { class: "quiet", text: `${visible(row.id)} \u00b7 ${visible(row.dataset)}` }), marks.length ? el("span", { class: "mark", title: marks.join("; "), text: marks.join("; ") }) : null],
    question: [el("span", { class: "clamp", dir: "auto", text: visible(row.question) })],
    control: [el("span", { class: "clamp", dir: "auto", text: visible(row.answers[0]) || "(no answer)" })],
    treatment: [el("span", { class: "clamp", dir: "auto", text: visible(row.answers[1]) || "(no answer)" })],
    score: scoreTexts(row, state).map((text) => el("span", { class: "numbers", text })),
    label: [el("span", { class: "quiet", text: row.label ? VERDICT[row.label] || row.label : "" })],
  };
  const further = row.others.map((one) => otherCell(one, row, state));
  return Object.entries(made).flatMap(([key, parts]) => [...(key === "score" ? further : []), ...(state.hidden.has(key) ? [] : [el("div", { role: "gridcell", class: key }, ...parts)])]);
}

/** What a further arm answered, its score, and whether that is better than the control's. */
/** @type {(one: Other, row: Row, state: { metric: Metric, trial: Trial, about: About }) => Element} */
function otherCell(one, row, { metric, trial, about }) {
  const [before] = row.scores;
  const by = one.score === null || before === null ? null : Math.sign(one.score - before) * (metric.higher_is_better ? 1 : -1);
  const how = by === null ? "" : by > 0 ? "won" : by < 0 ? "lost" : "same";
  return el("div", { role: "gridcell", class: "other" },
    el("span", { class: "numbers" }, el("span", { class: "armname", text: `${visible(calledArm(trial, about, one.arm))}: ` }), scoreText(one.score, one.n, about.arms[one.arm].samples, metric), " ",
      how ? el("span", { class: `outcome ${how}`, text: `${OUTCOME[how][0]} ${OUTCOME[how][1]}` }) : null),
    el("span", { class: "clamp", dir: "auto", text: visible(one.answer) || "(no answer)" }));
}

/** @type {(value: number | null, n: number, samples: number, metric: Metric) => string} */
function scoreText(value, n, samples, metric) {
  if (value === null) return "-";
  if (metric.is_rate && samples > 1) return `${Math.round(value * n)} of ${n}`;
  return metric.is_rate ? (value ? "yes" : "no") : level(value, metric.is_share);
}

/** @type {(row: Row, state: { metric: Metric, trial: Trial }) => string[]} */
function scoreTexts(row, state) {
  const { metric, trial: { samples } } = state;
  const one = (at) => scoreText(row.scores[at], row.n[at], samples, metric);
  const [before, after] = row.scores;
  const by = before === null || after === null ? null : after - before;
  const change = by !== null && !metric.is_rate ? [by ? difference(by, metric.is_share) + (metric.is_share ? " pp" : "") : "0"] : [];
  return [`${one(0)} \u2192 ${one(1)}`, ...change];
}

/** Rows for paper: a plain table of the first pairs. */
/** @type {(source: Source, ask: Ask, trial: Trial, isAll: boolean, n: number, most?: number) => Promise<Element>} */
export async function paper(source, ask, trial, isAll, n, most = 200) {
  const rows = await source.rows(ask, 0, Math.min(n, most), isAll);
  const head = ["item", "outcome", "question", ...armsShown(trial, source.about, isAll).map((arm) => visible(calledArm(trial, source.about, arm)))];
  return el("table", { class: "paper" },
    el("caption", { text: n > most ? `the first ${most} of ${count(n)} pairs` : `${count(n)} pairs` }),
    el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col", text })))),
    el("tbody", {}, rows.map((row) => el("tr", {}, [row.id, OUTCOME[row.outcome][1], row.question, ...row.answers, ...row.others.map((one) => one.answer)].map((text) => el("td", { text: visible(text) }))))));
}
