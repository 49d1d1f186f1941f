// Long work in a worker, so that the page goes on answering; where a browser begins none, a coarser answer on the page's own thread.
/** @import { Run } from "./types" */

import { byWords, diff } from "./diff.js";

const PATIENCE = { diff: 20000, match: 5000 };
const QUICK = 20000;
const FEW = 300;

/** A worker: from the server a file, in a page that stands alone the text that it carries. */
/** @type {() => Worker} */
function begun() {
  const carried = document.getElementById("worker");
  if (!carried) return new Worker("page/worker.js", { type: "module" });
  const address = URL.createObjectURL(new Blob([carried.textContent], { type: "text/javascript" }));
  const worker = new Worker(address);
  setTimeout(() => URL.revokeObjectURL(address), PATIENCE.diff);
  return worker;
}

/** What a worker answers, which ends with it. Rejects with `isSlow` set when none came in time, and without it where no worker can be had. */
/** @type {(what: "diff" | "match", ...given: unknown[]) => Promise<any>} */
function answered(what, ...given) {
  return new Promise((kept, broken) => {
    const worker = begun();
    const end = (then, value) => {
      clearTimeout(ends);
      worker.terminate();
      then(value);
    };
    const ends = setTimeout(() => end(broken, Object.assign(new Error(`it took more than ${PATIENCE[what] / 1000} seconds`), { isSlow: true })), PATIENCE[what]);
    worker.onmessage = (event) => end(kept, event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      end(broken, new Error(event.message || "this browser begins no worker"));
    };
    worker.postMessage([what, ...given]);
  });
}

/** What changed between two texts: runs at once where that is quickly found, else a promise of them. */
/** @type {(before: string, after: string) => Run[] | Promise<Run[]>} */
export function compared(before, after) {
  const quick = before.length + after.length <= QUICK ? byWords(before, after, FEW) : null;
  return quick || answered("diff", before, after).catch(() => diff(before, after, FEW));
}

/** Whether each text holds the pattern. A pattern can take for ever: then it rejects. */
/** @type {(pattern: string, texts: string[]) => Promise<boolean[]>} */
export function matched(pattern, texts) {
  return answered("match", pattern, texts).catch((error) => {
    if (error.isSlow) throw new Error(`the pattern cannot be tried: ${error.message}`);
    const one = new RegExp(pattern, "i");
    return texts.map((text) => one.test(text));
  });
}
