// What changed between two texts, word by word.

/** How many words may differ before a longer way of telling it would take too long. */
export const MOST = 4000;

/**
 * Runs of [kind, text]: kind is "same", "gone" (only in the first) or "new" (only in the second). Where more than `most` words differ lines are
 * compared, and within lines that changed their words; where even that are too many, all is gone and all is new.
 */
export function diff(before, after, most = MOST) {
  const found = byWords(before, after, most) || by(before, after, /(\n)/, most) || [["gone", before], ["new", after]];
  return merged(found.some(([kind]) => kind === "same") ? found.flatMap((run, at) => within(found, at, run, most)) : found);
}

/** The same by words alone; null where more than `most` differ. */
export function byWords(before, after, most) {
  const found = by(before, after, /(\s+)/, most);
  return found && merged(found);
}

/** Of what is gone and replaced the words. */
function within(runs, at, [kind, text], most) {
  const [before, next] = [runs[at - 1], runs[at + 1]];
  if (kind === "gone" && next && next[0] === "new") return byWords(text, next[1], most / 4) || [[kind, text], next];
  return kind === "new" && before && before[0] === "gone" ? [] : [[kind, text]];
}

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
  const middle = steps.map((kind) => [kind, kind === "new" ? b[j++] : ((j += kind === "same"), a[i++])]);
  return merged([["same", a.slice(0, head).join("")], ...middle, ["same", a.slice(a.length - tail).join("")]]);
}

/** Equal words as equal numbers. */
function numbered(...texts) {
  const known = new Map();
  return texts.map((words) => Int32Array.from(words, (word) => known.get(word) ?? (known.set(word, known.size), known.size - 1)));
}

/** What to do word by word to come from a to b in the fewest steps (E. W. Myers, Algorithmica 1, 1986): furthest reach on each diagonal after d differences. */
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
function walked(trace, n, m) {
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
function merged(runs) {
  const found = [];
  let changed = { gone: [], new: [] };
  const flush = () => {
    for (const kind of ["gone", "new"]) if (changed[kind].length) found.push([kind, changed[kind].join("")]);
    changed = { gone: [], new: [] };
  };
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
