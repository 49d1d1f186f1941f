// What changed between two texts, word by word.

const MOST_CELLS = 6e6;

/** Runs of [kind, text]: kind is "same", "gone" (only in the first) or "new" (only in the second). */
export function diff(before, after) {
  const whole = { a: split(before, /(\s+)/), b: split(after, /(\s+)/) };
  const isLong = whole.a.length * whole.b.length > MOST_CELLS;
  const a = isLong ? split(before, /(\n)/) : whole.a;
  const b = isLong ? split(after, /(\n)/) : whole.b;
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const middle = changed(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  return merged([...a.slice(0, head).map((one) => ["same", one]), ...middle, ...a.slice(a.length - tail).map((one) => ["same", one])]);
}

function split(text, mark) {
  return text.split(mark).filter((one) => one !== "");
}

/** By the longest common subsequence; two long texts without a common start are told as one gone and one new. */
function changed(a, b) {
  const plain = [...a.map((one) => ["gone", one]), ...b.map((one) => ["new", one])];
  if (!a.length || !b.length || a.length * b.length > MOST_CELLS) return plain;
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      table[i * width + j] = a[i] === b[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  const found = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      found.push(["same", a[i]]);
      i += 1;
      j += 1;
    } else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) found.push(["gone", a[i++]]);
    else found.push(["new", b[j++]]);
  }
  return [...found, ...a.slice(i).map((one) => ["gone", one]), ...b.slice(j).map((one) => ["new", one])];
}

function merged(runs) {
  const found = [];
  for (const [kind, text] of runs) {
    const last = found[found.length - 1];
    if (last && last[0] === kind) last[1] += text;
    else found.push([kind, text]);
  }
  return found;
}
