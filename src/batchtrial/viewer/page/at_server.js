// The pairs of a run of any size: the server answers, a page of rows at a time.
/** @import { Server } from "./types" */

/** Ask the server. Throws an Error with the server's words, or with isUnknown where no answer came: it may have been carried out all the same. */
/** @type {(path: string, body?: object) => Promise<any>} */
export async function asked(path, body) {
  const how = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  let answer, told;
  try {
    answer = await fetch(path, how);
    told = await answer.text();
  } catch {
    throw Object.assign(new Error("the viewer does not answer: start it again, and open the address that it prints"), { isUnknown: true });
  }
  try {
    told = JSON.parse(told);
  } catch {
    told = null;
  }
  if (!answer.ok || told === null) throw new Error(told?.error || `the server said ${answer.status}`);
  return told;
}

/** The source of one run of the server. */
/** @type {(run: string) => Promise<Server>} */
export async function serverSource(run) {
  const at = `api/runs/${encodeURIComponent(run)}`;
  const question = (ask) => encodeURIComponent(JSON.stringify(ask));
  const about = await asked(`${at}/about`);
  return {
    about,
    run,
    n: about.n_items,
    part: null,
    isLive: true,
    query: (ask, item = null) => asked(`${at}/pairs?ask=${question(ask)}${item === null ? "" : `&item=${item}`}`),
    rows: (ask, first, n, withOthers = false) => asked(`${at}/rows?ask=${question(ask)}&first=${first}&n=${n}${withOthers ? "&arms=all" : ""}`),
    detail: async (ask, place) => ({
      ...(await asked(`${at}/items/${place}?ask=${question(ask)}`)), more: (key, number) => asked(`${at}/texts/${place}?key=${encodeURIComponent(key)}&page=${number}`),
    }),
    pictures: (ask) => asked(`${at}/pictures?ask=${question(ask)}`),
    judgements: (ask) => asked(`${at}/labels?ask=${question(ask)}`),
    label: (ask, label) => asked(`${at}/labels?ask=${question(ask)}`, label),
    stop: () => asked(`${at}/stop`, {}),
  };
}
