// The runs of a folder as they stand, redrawn when the server says that something changed.

import { asked } from "./at_server.js";
import { el, put, visible } from "./dom.js";
import { count } from "./numbers.js";

/** The list. onopen: called with the run's id. */
/** @type {(root: Element, onopen: (id: string) => void, isReadOnly: boolean) => Promise<() => void>} */
export async function runList(root, onopen, isReadOnly) {
  const status = el("p", { role: "status", class: "quiet" });
  const table = el("div", {});
  let sure = "";
  let told = [];

  const stop = async (run) => {
    if (sure !== run.id) {
      sure = run.id;
      return draw();
    }
    sure = "";
    try {
      await asked(`api/runs/${encodeURIComponent(run.id)}/stop`, {});
      status.textContent = `asked run ${visible(run.id)} to stop; it can be resumed`;
    } catch (error) {
      status.textContent = error.message;
    }
    return draw();
  };

  const cell = (name, ...parts) => el("td", { "data-title": name }, ...parts);
  function draw() {
    if (!told.length) return put(table, el("p", { text: "There are no runs in this folder." }));
    const names = ["run", "state", "parts", "requests", "dollars", "last sign of life", "stop"];
    return put(table, el("table", { class: "runs" }, el("thead", {}, el("tr", {}, names.map((text) => el("th", { scope: "col", text })))),
      el("tbody", {}, told.map((run) => el("tr", {},
        cell("run", el("button", { type: "button", class: "link", text: visible(run.id), onclick: () => onopen(run.id) }), el("span", { class: "quiet", text: ` ${visible(run.model)}${run.note}` })),
        cell("state", el("b", { text: run.state }), run.phase ? ` in ${run.phase}` : "", run.problems.map((text) => el("p", { class: "warn", text: visible(text) }))),
        cell("parts", Object.entries(run.parts).filter(([, n]) => n).map(([name, n]) => `${n} ${name.replaceAll("_", " ")}`).join(", ") || "-"),
        cell("requests", run.requests ? `${count(run.done)} of ${count(run.requests)}${run.failed ? `, ${count(run.failed)} failed` : ""}` : "-", run.in_doubt ? el("p", { class: "warn", text: `${run.in_doubt} in doubt` }) : null),
        cell("dollars", `${run.spent} spent`, run.reserved ? `, ${run.reserved} reserved` : "", run.budget ? ` of ${run.budget}` : ""),
        cell("last sign of life", run.quiet),
        cell("", run.live && !isReadOnly ? el("button", { type: "button", class: "stop", text: sure === run.id ? "really stop?" : "stop", onclick: () => stop(run) }) : null))))));
  }

  put(root, el("main", {}, el("h1", { text: "Runs" }), status, table));
  told = (await asked("api/runs")).runs;
  draw();
  const events = new EventSource("api/events");
  events.onerror = () => { status.textContent = "The viewer does not answer: the list is as it was when it last did."; };
  events.onopen = () => { status.textContent = ""; };
  events.onmessage = (event) => {
    told = JSON.parse(event.data).runs;
    draw();
  };
  return () => events.close();
}
