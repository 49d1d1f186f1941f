// Everything about one item: what was asked, what each arm said, what they were scored, and what it cost.
/** @import { About, Answer, Arm, Child, Children, Judge, Run, Shown, Trial } from "./types" */

import { compared } from "./beside.js";
import { FOLDED, el, fill, pages, put, shownText, visible } from "./dom.js";
import { count, difference, dollars, level } from "./numbers.js";
import { OUTCOME, armsShown, calledArm } from "./words.js";

const COLUMNS_AT_ONCE = 100;

/** The panel's content. how: view ("raw" or "diff"), isAll (a column for every arm), onview, oncopy, onlabel, onclose. */
/** @type {(item: Shown, trial: Trial, about: About, how: { view: string, isAll: boolean, onview(view: string): void, oncopy(): void, onlabel(): void, onclose(): void }) => Child[]} */
export function detail(item, trial, about, how) {
  const arms = armsShown(trial, about, how.isAll);
  const names = arms.map((arm) => visible(calledArm(trial, about, arm)));
  const button = (view, text) => el("button", { type: "button", "aria-pressed": String(how.view === view), onclick: () => how.onview(view), text });
  const others = about.arms.map((_, at) => at).filter((at) => !arms.includes(at));
  return [
    el("div", { class: "bar" }, el("h2", { text: `${visible(item.dataset)} \u00b7 ${visible(item.id)}` }), item.outcome ? el("span", { class: `outcome ${item.outcome}`, text: `${OUTCOME[item.outcome][0]} ${OUTCOME[item.outcome][1]}` }) : null,
      button("raw", "raw"), button("diff", "diff (d)"), el("button", { type: "button", text: "copy as Markdown", onclick: how.oncopy }),
      el("button", { type: "button", text: "label this item", onclick: how.onlabel }), el("button", { type: "button", class: "close", "aria-label": "close the item", text: "\u00d7", onclick: how.onclose })),
    el("h3", { text: "question" }), el("div", { class: "text" }, givenText(item, "question", item.question)),
    item.context ? el("details", {}, el("summary", { text: "passage" }), el("div", { class: "text" }, givenText(item, "context", item.context))) : null,
    item.references.length || item.unanswerable ? el("p", { class: "refs" }, el("b", { text: "accepted: " }), item.unanswerable ? "nothing: the question cannot be answered" : item.references.map((one, at) => [at ? " | " : "", shownText(one)]).flat()) : null,
    item.columns ? columnsOf(item) : null,
    ...(how.view === "diff" ? arms.slice(1).map((arm, at) => differences(item, [arms[0], arm], how.isAll ? [names[0], names[at + 1]] : ["control", "treatment"])) : [el("div", { class: "two" }, arms.map((arm, at) => side(names[at], item, arm, about)))]),
    scores(item, trial, arms, names), judgements(item, arms, names),
    others.length ? el("details", {}, el("summary", { text: `other arms of the run (${others.length})` }), el("div", { class: "two" }, others.map((arm) => side(visible(about.arms[arm].called), item, arm, about)))) : null,
    el("details", { class: "sent" }, el("summary", { text: "prompts as sent" }), el("div", { class: "two" }, arms.map((arm, at) => conversation(names[at], item, item.by[arm], about.arms[arm])))),
  ];
}

/** The item's columns, the first of them at once. */
/** @type {(item: Shown) => Element} */
function columnsOf(item) {
  const every = Object.entries(item.columns || {});
  const list = el("dl");
  const show = (some) => list.append(...some.map(([name, value]) => [el("dt", { text: visible(name) }), el("dd", {}, givenText(item, `column/${name}`, typeof value === "string" ? value : JSON.stringify(value)))]).flat());
  show(every.slice(0, COLUMNS_AT_ONCE));
  const more = el("button", { type: "button", text: `show all ${count(every.length)} columns`, onclick: () => { more.remove(); show(every.slice(COLUMNS_AT_ONCE)); } });
  return el("details", {}, el("summary", { text: "columns of the item" }), list, every.length > COLUMNS_AT_ONCE ? more : null);
}

/** @type {(name: string, item: Shown, arm: number, about: About) => Element} */
function side(name, item, arm, about) {
  const many = item.by_arm[arm].length > 1;
  return el("section", { class: "arm" }, el("h3", { text: name }), item.by_arm[arm].map((one, at) => el("div", { class: "sample" },
    many ? el("h4", { text: `sample ${at + 1}` }) : null, answer(one, item, `answer/${arm}/${at}`), el("p", { class: "quiet facts" }, shownText(facts(one))))),
  el("p", { class: "quiet", text: visible(about.arms[arm].model) }));
}

/** One of an item's texts, of a long one with the way to the rest of it. */
/** @type {(item: Shown, key: string, text: string, add?: (made: Element, text: string) => void) => Element} */
export function givenText(item, key, text, add = fill) {
  return shownText(text, item.long && item.long[key] ? { total: item.long[key], page: (number) => item.more(key, number) } : null, add);
}

/** @type {(one: Answer, item: Shown, key: string) => Element} */
function answer(one, item, key) {
  if (!one.text) return el("p", { class: "text none", text: `(no answer: ${visible(one.error || one.answer_state || one.outcome)})` });
  return el("div", { class: "text" }, givenText(item, key, one.text, (made, text) => mark(made, text, item.references)));
}

/** Finds a text in whichever case, where it is no part of a longer word or number. */
/** @type {(text: string) => RegExp} */
function wholeWord(text) {
  return new RegExp(`(?<![\\p{Script=Latin}\\p{N}])${text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}(?![\\p{Script=Latin}\\p{N}])`, "iu");
}

const MOST_LOOKED = 4e6;

/** Append a text with the accepted answers that stand in it marked. */
/** @type {(made: Element, text: string, references: string[]) => void} */
export function mark(made, text, references) {
  const spans = [];
  for (const one of references.filter((each) => each && each.length < 2000).slice(0, MOST_LOOKED / Math.max(1, text.length))) {
    const found = wholeWord(one).exec(text);
    if (!found) continue;
    const [begin, after] = [found.index, found.index + found[0].length];
    if (!spans.some(([from, to]) => begin < to && after > from)) spans.push([begin, after]);
  }
  let end = 0;
  for (const [from, to] of spans.sort((a, b) => a[0] - b[0])) {
    fill(made, text.slice(end, from));
    const accepted = el("mark", { title: "an accepted answer" });
    fill(accepted, text.slice(from, to));
    made.append(accepted);
    end = to;
  }
  fill(made, text.slice(end));
}

/** @type {(one: Answer) => string} */
function facts(one) {
  const state = one.answer_state && one.answer_state !== "complete" ? one.answer_state.replaceAll("_", " ") : one.outcome;
  const parts = [state, one.finish_reason && `finish ${one.finish_reason}`, one.input_tokens !== undefined && `${count(one.input_tokens)} + ${count(one.output_tokens ?? 0)} tokens`,
    one.usd !== undefined && dollars(one.usd), (one.attempt ?? 1) > 1 && `attempt ${one.attempt}`, one.custom_id, one.request_id, one.error];
  return parts.filter(Boolean).join(" \u00b7 ");
}

/** @type {(item: Shown, arms: number[], names: string[]) => Element} */
function differences(item, arms, names) {
  const n = Math.max(...arms.map((arm) => item.by_arm[arm].length));
  const said = (arm, at) => whole(item, `answer/${arm}/${at}`, item.by_arm[arm][at]?.text ?? "");
  return el("section", { class: "arm" }, el("h3", {}, "what changed from ", el("del", { text: names[0] }), " to ", el("ins", { text: names[1] })),
    Array.from({ length: n }, (_, at) => el("div", { class: "sample text" }, changes(said(arms[0], at), said(arms[1], at)))));
}

/** A text of an item with all its pages: at once where it has one, else a promise. */
/** @type {(item: Shown, key: string, text: string) => string | Promise<string>} */
function whole(item, key, text) {
  const n = (item.long && item.long[key]) || 0;
  if (!n) return text;
  const rest = async () => {
    const found = [text];
    for (let number = 1; number * FOLDED < n; number += 1) found.push(await item.more(key, number));
    return found.join("");
  };
  return rest();
}

/** A diff as nodes: two texts, or promises of them. What is not known at once comes when it is. */
/** @type {(before: string | Promise<string>, after: string | Promise<string>) => Element} */
export function changes(before, after) {
  const made = el("span", { class: "given", dir: "auto" });
  const show = (runs) => {
    const [first, ...others] = paged(runs);
    put(made);
    addRuns(made, first || []);
    if (others.length) made.append(pages(runs.reduce((sum, [, text]) => sum + text.length, 0), others.length + 1, async (number) => others[number - 1], addRuns));
  };
  const later = (promise) => {
    put(made, el("span", { class: "quiet", role: "status", text: "comparing \u2026" }));
    promise.then(show, (error) => put(made, el("span", { class: "warn", text: error.message })));
  };
  if (typeof before !== "string" || typeof after !== "string") later(Promise.all([before, after]).then((texts) => compared(...texts)));
  else {
    const found = compared(before, after);
    if (Array.isArray(found)) show(found);
    else later(found);
  }
  return made;
}

/** @type {(made: Element, runs: Run[]) => void} */
function addRuns(made, runs) {
  for (const [kind, text] of runs) {
    const piece = kind === "same" ? made : el(kind === "gone" ? "del" : "ins");
    fill(piece, text);
    if (piece !== made) made.append(piece);
  }
}

/** Runs in pages of the length at which texts are folded. */
/** @type {(runs: Run[]) => Run[][]} */
function paged(runs) {
  /** @type {Run[][]} */
  const found = [];
  let room = 0;
  for (const [kind, text] of runs) {
    for (let at = 0; at < text.length;) {
      if (!room) {
        found.push([]);
        room = FOLDED;
      }
      const end = Math.min(text.length, at + room);
      found[found.length - 1].push([kind, text.slice(at, end)]);
      room -= end - at;
      at = end;
    }
  }
  return found;
}

/** A table that scrolls in its own box where it is too wide. */
/** @type {(label: string, ...parts: Children) => Element} */
function scrolled(label, ...parts) {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, el("table", { class: "scores" }, ...parts));
}

/** Scores of each arm, and how far each is from the first. */
/** @type {(item: Shown, trial: Trial, arms: number[], names: string[]) => Element | null} */
function scores(item, trial, arms, names) {
  const known = trial.metrics.filter((one) => arms.some((arm) => item.scores[one.name][arm] !== null));
  if (!known.length) return null;
  const isTwo = arms.length === 2;
  const change = (one, from, to) => (from === null || to === null ? "-" : from === to ? "0" : `${difference(to - from, one.is_share)}${one.is_share ? " pp" : ""}`);
  const cells = (one) => {
    const [first, ...rest] = arms.map((arm) => item.scores[one.name][arm]);
    const others = rest.map((value) => (isTwo || value === null ? level(value, one.is_share) : `${level(value, one.is_share)} (${change(one, first, value)})`));
    return [level(first, one.is_share), ...others, ...(isTwo ? [change(one, first, rest[0])] : [])];
  };
  return scrolled("scores", el("thead", {}, el("tr", {}, ["metric", ...(isTwo ? ["control", "treatment", "change"] : names)].map((text) => el("th", { scope: "col", text })))),
    el("tbody", {}, known.map((one) => el("tr", {}, el("th", { scope: "row", text: visible(one.title) }), cells(one).map((text) => el("td", { text }))))));
}

/** What each judge said of these arms' answers, in both orders where it saw two at once. */
/** @type {(item: Shown, arms: number[], names: string[]) => Element | null} */
function judgements(item, arms, names) {
  const mine = item.judged.filter((one) => arms.includes(one.arm) && (one.other === undefined || arms.includes(one.other)));
  if (!mine.length) return null;
  const many = mine.some((one) => one.sample);
  const about = (one) => `${names[arms.indexOf(one.arm)]}${one.other === undefined ? "" : `, then ${names[arms.indexOf(one.other)]}`}${many ? `, sample ${one.sample + 1}` : ""}`;
  return el("details", { class: "judgements", open: true }, el("summary", { text: "what judges said" }), scrolled("what judges said",
    el("thead", {}, el("tr", {}, ["judge", "shown", "verdict", "reason"].map((text) => el("th", { scope: "col", text })))),
    el("tbody", {}, mine.map((one) => el("tr", {}, el("th", { scope: "row", text: visible(one.judge) }), el("td", { text: about(one) }), el("td", { text: one.said }), el("td", {}, shownText(one.reason)))))));
}

/** @type {(name: string, item: Shown, which: number, arm: Arm) => Element} */
function conversation(name, item, which, arm) {
  const turns = item.sent[which];
  return el("section", { class: "arm" }, el("h3", { text: name }), arm.system && turns[0][0] !== "system" ? [el("h4", { text: "system" }), el("div", { class: "text" }, shownText(arm.system))] : null,
    turns.map(([role, text], turn) => [el("h4", { text: role }), el("div", { class: "text" }, givenText(item, `sent/${which}/${turn}`, text))]).flat());
}

/** What the treatment changed in the prompts, word by word. */
/** @type {(trial: Trial) => Element[]} */
export function promptChanges(trial) {
  if (!trial.differences.length) return [el("p", { class: "quiet", text: "Nothing: both arms ask the same." })];
  return trial.differences.map(([name, one, other]) => [el("h2", { class: "small", text: visible(name) }), el("div", { class: "text" }, changes(one, other))]).flat();
}

/** What is known of a judge, as the report has it. */
/** @type {(judge: Judge) => Element[]} */
export function believed(judge) {
  const rows = judge.rows.map(([name, ...cells]) => el("tr", {}, el("th", { scope: "row", text: name }), ...cells.map((text) => el("td", { text: visible(text) }))));
  const head = el("tr", {}, ["number", "value", "interval", "n", "how to read it"].map((text) => el("th", { scope: "col", text })));
  return [el("h2", { class: "small", text: visible(judge.title) }),
    scrolled(visible(judge.title), el("thead", {}, head), el("tbody", {}, rows)),
    ...judge.remarks.map((text) => el("p", { class: "quiet", text: visible(text) }))];
}

/** An item as Markdown, fenced so that no answer can close its fence. */
/** @type {(item: Shown, trial: Trial, about: About, isAll: boolean, address: string) => string} */
export function asMarkdown(item, trial, about, isAll, address) {
  const fence = (text) => {
    const marks = Math.max(3, 1 + Math.max(0, ...[...text.matchAll(/`+/g)].map((one) => one[0].length)));
    return `${"`".repeat(marks)}text\n${visible(text)}\n${"`".repeat(marks)}`;
  };
  const cut = (key) => (item.long && item.long[key] ? `\n\nthe first ${count(FOLDED)} of ${count(item.long[key])} characters` : "");
  const said = (arm) => item.by_arm[arm].map((one, at) => fence(one.text || `(no answer: ${one.outcome})`) + cut(`answer/${arm}/${at}`)).join("\n\n");
  return [`### ${visible(item.dataset)} ${visible(item.id)}`, fence(item.question) + cut("question"), `accepted: ${visible(item.references.join(" | ")) || "-"}`, ...armsShown(trial, about, isAll).flatMap((arm) => [`**${visible(calledArm(trial, about, arm)).replace(/([*_`[\]<])/g, "\\$1")}**`, said(arm)]), address].join("\n\n") + "\n";
}
