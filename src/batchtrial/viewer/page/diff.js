// What changed between two texts, word by word.
/** @import { Run } from "./types" */

/** How many words may differ before a longer way of telling it would take too long. */
export const MOST = 4000;

/**
 * Runs of [kind, text]: kind is "same", "gone" (only in the first) or "new" (only in the second). Where more than `most` words differ lines are
 * compared, and within lines that changed their words; where even that are too many, all is gone and all is new.
 */
/** @type {(before: string, after: string, most?: number) => Run[]} */
export function diff(before, after, most = MOST) {
  const found = byWords(before, after, most) || by(before, after, /(\n)/, most) || [["gone", before], ["new", after]];
  return merged(found.some(([kind]) => kind === "same") ? found.flatMap((run, at) => within(found, at, run, most)) : found);
}

/** The same by words alone; null where more than `most` differ. */
/** @type {(before: string, after: string, most: number) => Run[] | null} */
export function byWords(before, after, most) {
  const found = by(before, after, /(\s+)/, most);
  return found && merged(found);
}

/** Of what is gone and replaced the words. */
/** @type {(runs: Run[], at: number, run: Run, most: number) => Run[]} */
function within(runs, at, [kind, text], most) {
  const [before, next] = [runs[at - 1], runs[at + 1]];
  if (kind === "gone" && next && next[0] === "new") return byWords(text, next[1], most / 4) || [[kind, text], next];
  return kind === "new" && before && before[0] === "gone" ? [] : [[kind, text]];
}

/** @type {(before: string, after: string, mark: RegExp, most: number) => Run[] | null} */
function by(before, after, mark, most) {
  const split = (text) => text.split(mark).filter((one) => one !== "");
  const [a, b] = [split(before), split(after)];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const steps = script(numbered(a.slice(head, a.length - tail), b.slice(head, b.length - tail)), most);
  if (!steps) return null;
  let [i, j] = [head, head];
  /** @type {Run[]} */
  const middle = steps.map((kind) => {
    if (kind !== "gone") j += 1;
    if (kind !== "new") i += 1;
    return [kind, kind === "new" ? b[j - 1] : a[i - 1]];
  });
  return merged([["same", a.slice(0, head).join("")], ...middle, ["same", a.slice(a.length - tail).join("")]]);
}

/** Equal words as equal numbers. */
/** @type {(...texts: string[][]) => Int32Array[]} */
function numbered(...texts) {
  const known = new Map();
  return texts.map((words) => Int32Array.from(words, (word) => known.get(word) ?? (known.set(word, known.size), known.size - 1)));
}

/** What to do word by word to come from a to b in the fewest steps (E. W. Myers, Algorithmica 1, 1986): furthest reach on each diagonal after d differences. */
/** @type {(texts: Int32Array[], most: number) => Run[0][] | null} */
function script([a, b], most) {
  const [n, m] = [a.length, b.length];
  const limit = Math.min(n + m, most);
  const reach = new Int32Array(2 * limit + 3);
  const zero = limit + 1;
  const trace = [];
  for (let d = 0; d <= limit; d += 1) {
    for (let k = -d + 2 * Math.max(0, d - m); k <= d - 2 * Math.max(0, d - n); k += 2) {
      const isDown = k === -d || (k !== d && reach[zero + k - 1] < reach[zero + k + 1]);
      let x = d ? (isDown ? reach[zero + k + 1] : reach[zero + k - 1] + 1) : 0;
      while (x < n && x - k < m && a[x] === b[x - k]) x += 1;
      reach[zero + k] = x;
      if (x >= n && x - k >= m) return walked(trace, n, m);
    }
    trace.push(reach.slice(zero - d, zero + d + 1));
  }
  return null;
}

/** The steps, from the end back. */
/** @type {(trace: Int32Array[], n: number, m: number) => Run[0][]} */
function walked(trace, n, m) {
  /** @type {Run[0][]} */
  const steps = [];
  let [x, y] = [n, m];
  for (let d = trace.length; d > 0; d -= 1) {
    const k = x - y;
    const at = (diagonal) => trace[d - 1][diagonal + d - 1] ?? -1;
    const isDown = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const from = isDown ? at(k + 1) : at(k - 1);
    const begin = isDown ? from : from + 1;
    for (; x > begin; x -= 1, y -= 1) steps.push("same");
    steps.push(isDown ? "new" : "gone");
    [x, y] = [from, from - (isDown ? k + 1 : k - 1)];
  }
  for (; x > 0; x -= 1) steps.push("same");
  return steps.reverse();
}

/** Neighbours of one kind as one run; what is gone before what is new. */
/** @type {(runs: Run[]) => Run[]} */
function merged(runs) {
  /** @type {Run[]} */
  const found = [];
  /** @type {Record<string, string[]>} */
  let changed = { gone: [], new: [] };
  const flush = () => {
    for (const kind of /** @type {Run[0][]} */ (["gone", "new"])) if (changed[kind].length) found.push([kind, changed[kind].join("")]);
    changed = { gone: [], new: [] };
  };
  /** @type {string[]} */
  let same = [];
  for (const [kind, text] of runs) {
    if (!text) continue;
    if (kind === "same") {
      flush();
      same.push(text);
      continue;
    }
    if (same.length) found.push(["same", same.join("")]);
    same = [];
    changed[kind].push(text);
  }
  flush();
  if (same.length) found.push(["same", same.join("")]);
  return found;
}
