// Elements out of data. Text is always set as text: whatever a node, a key or a header calls itself is never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: `text`, `on: {click: f}`, `class`, and attributes by their names; false and null leave one out. */
export function el(name, given = {}, ...children) {
  return filled(document.createElement(name), given, children);
}

/** The same for SVG. */
export function svg(name, given = {}, ...children) {
  return filled(document.createElementNS(SVG, name), given, children);
}

function filled(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set text only if it differs, so that a reader's selection and a screen reader's place survive. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Make `old` what `fresh` is, keeping every element that can stay: focus, selection and a reader's place survive. */
export function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const were = [...old.childNodes];
  const are = [...fresh.childNodes];
  are.forEach((child, place) => (place < were.length ? morph(were[place], child) : old.append(child)));
  for (const child of were.slice(are.length)) child.remove();
}

/** The same for all that is in `root`. */
export function fill(root, ...fresh) {
  const copy = root.cloneNode(false);
  copy.append(...fresh);
  morph(root, copy);
}

/** The body of a section of the page, emptied of what the server wrote, and shown. */
export function section(id) {
  const part = document.getElementById(id);
  const body = part.querySelector(".body");
  body.replaceChildren();
  part.hidden = false;
  return body;
}

/** A mark of a state, the same shapes everywhere: check, two squares, question mark, triangle, dash. */
export function mark(state) {
  const shapes = {
    agree: [svg("circle", { cx: 8, cy: 8, r: 7 }), svg("path", { d: "M4.8 8.2l2.3 2.3 4.2-4.6" })],
    apart: [svg("rect", { x: 1.5, y: 1.5, width: 8, height: 8, rx: 1.5 }), svg("rect", { x: 6.5, y: 6.5, width: 8, height: 8, rx: 1.5 })],
    unknown: [svg("circle", { cx: 8, cy: 8, r: 7 }), svg("path", { d: "M6.2 6.4a1.9 1.9 0 1 1 2.6 1.8c-.5.2-.8.6-.8 1.2" }), svg("circle", { class: "full", cx: 8, cy: 11.6, r: 0.8 })],
    down: [svg("path", { d: "M8 1.5L15 14H1z" }), svg("path", { d: "M8 6v4" }), svg("circle", { class: "full", cx: 8, cy: 12, r: 0.8 })],
  };
  return svg("svg", { class: `mark ${state}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, ...shapes[state]);
}

/** The class that gives a node its colour, the same in the ring, in charts and in tables. */
export function colour(view, node) {
  const place = view.nodes.findIndex((row) => row.id === node);
  return `c${Math.max(0, place) % 10}`;
}

/** A table of texts and elements. Each cell says its column, which a narrow screen shows. `numbers`: columns of numbers. */
export function table(head, rows, numbers = [], kind = "rows") {
  const cell = (content, place) =>
    el(
      place === 0 ? "th" : "td",
      { scope: place === 0 ? "row" : null, class: numbers.includes(place) ? "number" : null, "data-name": place ? head[place] : null },
      content,
    );
  return el(
    "table",
    { class: kind },
    el("thead", {}, el("tr", {}, head.map((name, place) => el("th", { scope: "col", text: name, class: numbers.includes(place) ? "number" : null })))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell)))),
  );
}
