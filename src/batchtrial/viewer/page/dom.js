// Elements and texts. Text that is not ours becomes text nodes, never markup.

const ODD = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
export const FOLDED = 200000;

/** An element. attributes: `on*` are listeners, `class`, `text`, and others as they are; false and null are left out. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  setAll(made, attributes);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An SVG element. */
export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  setAll(made, attributes);
  made.append(...children.flat().filter((child) => child !== null && child !== false));
  return made;
}

function setAll(made, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "text") made.textContent = value;
    else if (key === "value") made.value = value;
    else if (key === "checked") made.checked = true;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
}

/** The text with invisible and direction-changing characters as their code points. */
export function visible(text) {
  return String(text).replace(ODD, (char) => `<U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>`);
}

/** A text that somebody else gave, no longer than its place. */
export function short(text, most) {
  return text.length > most ? `${visible(text.slice(0, most - 1))}\u2026` : visible(text);
}

/** The same as nodes, the code points marked; what is too long is folded behind a button. */
export function shownText(text, most = FOLDED) {
  const whole = String(text);
  const made = el("span", { class: "given", dir: "auto" });
  fill(made, whole.slice(0, most));
  if (whole.length > most) {
    const more = el("button", { type: "button", class: "more", text: `show all ${whole.length.toLocaleString("en")} characters`, onclick: () => {
      more.remove();
      fill(made, whole.slice(most));
    } });
    made.append(more);
  }
  return made;
}

/** Append a text to an element, invisible characters as marked code points. */
export function fill(made, text) {
  let end = 0;
  for (const found of text.matchAll(ODD)) {
    made.append(text.slice(end, found.index), el("span", { class: "odd", text: visible(found[0]) }));
    end = found.index + found[0].length;
  }
  made.append(text.slice(end));
}

/** Put these in the place of what an element holds. */
export function put(made, ...children) {
  made.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
