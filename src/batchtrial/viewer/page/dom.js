// Elements and texts. Text that is not ours becomes text nodes, never markup.
/** @import { Children } from "./types" */

const ODD = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const ODDS = new RegExp(`(?:${ODD.source})+`, "g");
export const FOLDED = 200000;

/** An element. attributes: `on*` are listeners, `class`, `text`, and others as they are; false and null are left out. */
/** @type {(name: string, attributes?: Record<string, any>, ...children: Children) => any} */
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element. */
/** @type {(name: string, attributes?: Record<string, any>, ...children: Children) => SVGElement} */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

const there = (children) => children.flat().filter((child) => child !== null && child !== undefined && child !== false);

/** @type {(made: any, attributes: Record<string, any>, children: Children) => any} */
function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "text") made.textContent = value;
    else if (key === "value") made.value = value;
    else if (key === "checked") made.checked = true;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...there(children));
  return made;
}

/** The text with invisible and direction-changing characters as their code points. */
/** @type {(text: unknown) => string} */
export function visible(text) {
  return String(text).replace(ODD, (char) => `<U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}>`);
}

/** A text that somebody else gave, no longer than its place. */
/** @type {(text: string, most: number) => string} */
export function short(text, most) {
  return text.length > most ? `${visible(text.slice(0, most - 1))}\u2026` : visible(text);
}

/**
 * The same as nodes, the code points marked; of what is too long a page, and buttons that append the next ones.
 * rest: of a text whose rest lies elsewhere how many characters it has, and what gives a page of it by its number; add: what appends a text to an element.
 */
/** @type {(text: string, rest?: { total: number, page(number: number): Promise<string> } | null, add?: (made: Element, text: string) => void) => Element} */
export function shownText(text, rest = null, add = fill) {
  const whole = String(text);
  const { total, page } = rest || { total: whole.length, page: async (number) => pageOf(whole, number) };
  const made = el("span", { class: "given", dir: "auto" });
  add(made, rest ? whole : pageOf(whole, 0));
  if (total > FOLDED) made.append(pages(total, Math.ceil(total / FOLDED), page, add));
  return made;
}

/** A page of a text, which never ends within a character. */
/** @type {(text: string, number: number) => string} */
function pageOf(text, number) {
  const end = (at) => (/^[\udc00-\udfff]/.test(text.slice(at, at + 1)) ? at - 1 : at);
  return text.slice(end(number * FOLDED), end((number + 1) * FOLDED));
}

/** Buttons that put further pages before themselves, each in a box that is laid out while in sight. n: how many; page: number -> what `add` appends. */
/** @type {(total: number, n: number, page: (number: number) => Promise<any>, add: (made: Element, page: any) => void) => Element} */
export function pages(total, n, page, add) {
  const said = el("span", { role: "status" });
  const button = (text, onclick) => el("button", { type: "button", class: "page", text, onclick });
  const foot = el("span", { class: "foot" }, said, button(`show the next ${FOLDED.toLocaleString("en")} characters`, () => go(1)), button(`show all ${total.toLocaleString("en")}`, () => go(n)));
  let [next, isBusy] = [1, false];
  const tell = () => { said.textContent = `${(next * FOLDED).toLocaleString("en")} of ${total.toLocaleString("en")} characters `; };
  async function go(further) {
    if (isBusy) return;
    isBusy = true;
    try {
      for (const ends = Math.min(n, next + further); next < ends && foot.isConnected; next += 1) {
        const part = el("span", { class: "part" });
        add(part, await page(next));
        foot.before(part);
        await new Promise(requestAnimationFrame);
      }
      tell();
      if (next >= n) foot.remove();
    } catch (error) {
      said.textContent = `${error.message} `;
    }
    isBusy = false;
  }
  tell();
  return foot;
}

/** Append a text to an element, invisible characters as marked code points. */
/** @type {(made: Element, text: string) => void} */
export function fill(made, text) {
  let end = 0;
  for (const found of text.matchAll(ODDS)) {
    made.append(text.slice(end, found.index), el("span", { class: "odd", text: visible(found[0]) }));
    end = found.index + found[0].length;
  }
  made.append(text.slice(end));
}

/** Put these in the place of what an element holds. */
/** @type {(made: Element, ...children: Children) => Element} */
export function put(made, ...children) {
  made.replaceChildren(...there(children));
  return made;
}
