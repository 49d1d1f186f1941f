// The pairs as a grid of which only the rows in sight exist. Rows come by blocks, from wherever the source has them.

import { el, put, visible } from "./dom.js";
import { count, difference, level } from "./numbers.js";
import { MARK, OUTCOME, VERDICT, armName } from "./words.js";

const BLOCK = 50;
const AROUND = 6;
export const COLUMNS = { id: "item", question: "question", control: "control", treatment: "treatment", score: "score", label: "label" };

/** The grid. onpick: called with (position, row) when a row is chosen. */
export function grid(onpick) {
  const sizer = el("div", { class: "rows", role: "rowgroup" });
  const head = el("div", { class: "row head", role: "row", "aria-rowindex": 1 });
  const body = el("div", { class: "grid", role: "grid", "aria-label": "pairs", tabindex: -1 }, el("div", { role: "rowgroup", class: "headgroup" }, head), sizer);
  const state = { n: 0, fetch: null, blocks: new Map(), shown: new Map(), at: 0, metric: null, trial: null, hidden: new Set(), turn: 0 };

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
  new ResizeObserver(() => { state.shown.forEach((row) => row.remove()); state.shown.clear(); draw(); }).observe(body);
  return {
    body,
    /** Show other pairs. fetch: (first, n) -> rows; picked: the position of the one that is looked at. */
    show({ n, fetch, metric, trial, hidden, picked = null }) {
      Object.assign(state, { n, fetch, metric, trial, hidden, at: picked ?? 0, picked: picked ?? -1, turn: state.turn + 1 });
      state.blocks.clear();
      sizer.replaceChildren();
      state.shown.clear();
      body.scrollTop = 0;
      body.setAttribute("aria-rowcount", n + 1);
      body.classList.toggle("empty", !n);
      const arm = (at) => `${armName(trial, at)}${trial.samples > 1 ? `, 1st of ${trial.samples}` : ""}`;
      put(head, Object.entries(COLUMNS).filter(([name]) => !hidden.has(name)).map(([name, text]) => el("div", { role: "columnheader", class: name, text: visible({ score: metric.title, control: arm(0), treatment: arm(1) }[name] || text) })));
      body.className = `grid ${[...hidden].map((name) => `no-${name}`).join(" ")}${n ? "" : " empty"}`;
      sizer.style.height = `${n * height()}px`;
      if (picked) body.scrollTop = picked * height();
      draw();
    },
    pick,
    rowAt,
    refresh() {
      state.blocks.clear();
      state.turn += 1;
      sizer.replaceChildren();
      state.shown.clear();
      draw();
    },
    get at() { return state.picked; },
    get n() { return state.n; },
  };
}

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
  return Object.entries(made).filter(([key]) => !state.hidden.has(key)).map(([key, parts]) => el("div", { role: "gridcell", class: key }, ...parts));
}

function scoreTexts(row, state) {
  const { metric, trial: { samples } } = state;
  const one = (at) => {
    const value = row.scores[at];
    if (value === null) return "-";
    if (metric.is_rate && samples > 1) return `${Math.round(value * row.n[at])} of ${row.n[at]}`;
    return metric.is_rate ? (value ? "yes" : "no") : level(value, metric.is_share);
  };
  const both = row.scores.every((value) => value !== null);
  const by = row.scores[1] - row.scores[0];
  const change = both && !metric.is_rate ? [by ? difference(by, metric.is_share) + (metric.is_share ? " pp" : "") : "0"] : [];
  return [`${one(0)} \u2192 ${one(1)}`, ...change];
}

/** Rows for paper: a plain table of the first pairs. */
export async function paper(source, ask, trial, n, most = 200) {
  const rows = await source.rows(ask, 0, Math.min(n, most));
  const head = ["item", "outcome", "question", ...[0, 1].map((at) => visible(armName(trial, at)))];
  return el("table", { class: "paper" },
    el("caption", { text: n > most ? `the first ${most} of ${count(n)} pairs` : `${count(n)} pairs` }),
    el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col", text })))),
    el("tbody", {}, rows.map((row) => el("tr", {}, [row.id, OUTCOME[row.outcome][1], row.question, ...row.answers].map((text) => el("td", { text: visible(text) }))))));
}
