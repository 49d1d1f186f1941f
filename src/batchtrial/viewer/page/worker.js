// What may take long, beside the page: word diffs of long texts, and patterns over many.

import { diff } from "./diff.js";

self.onmessage = ({ data: [what, ...given] }) => {
  if (what === "diff") self.postMessage(diff(given[0], given[1]));
  else {
    const pattern = new RegExp(given[0], "i");
    self.postMessage(given[1].map((text) => pattern.test(text)));
  }
};
