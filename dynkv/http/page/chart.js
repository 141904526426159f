// Lines over the last minutes, at most ten. Told apart by colour, by dashes, and by a legend that also says the newest
// value.

import { el, say, svg } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;
const WINDOWS = [60, 120, 300, 600]; // samples, one a second: the shortest that holds what there is

/** The smallest "round" number that is not below `value`: what the top of a chart stands for. */
export function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value);
}

/** An SVG path through `values`, the newest at the right edge; NaN breaks it. */
export function path(values, top, width, height, samples) {
  let open = false;
  let found = "";
  values.forEach((value, place) => {
    if (Number.isNaN(value)) {
      open = false;
      return;
    }
    const x = width - (values.length - 1 - place) * (width / (samples - 1));
    const y = height - (Math.min(value, top) / top) * height;
    found += `${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (!open && (place + 1 === values.length || Number.isNaN(values[place + 1]))) found += "h0.1";
    open = true;
  });
  return found;
}

/** One chart. `name`: of what; `words(value)`: a value with its unit. */
export class Chart {
  constructor(name, words) {
    this.name = name;
    this.words = words;
    this.top = el("span", { class: "top-value" });
    this.drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": name });
    this.legend = el("ul", { class: "legend" });
    this.since = el("span");
    this.lines = new Map();
    this.element = el(
      "figure",
      { class: "chart" },
      el("figcaption", { text: name }),
      el("div", { class: "plot" }, this.drawing, this.top),
      el("div", { class: "axis", "aria-hidden": "true" }, this.since, el("span", { text: "now" })),
      this.legend,
    );
    for (const part of [1, 2, 3]) {
      const y = (HEIGHT * part) / 4;
      this.drawing.append(svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y }));
    }
  }

  /** `series`: [{name, style, values}]. */
  update(series) {
    const top = ceiling(Math.max(0, ...series.flatMap((one) => one.values.filter((value) => !Number.isNaN(value)))));
    say(this.top, this.words(top));
    const samples = Math.max(0, ...series.map((one) => one.values.length));
    const window = WINDOWS.find((some) => some >= samples) ?? WINDOWS.at(-1);
    say(this.since, `${window / 60} min ago`);
    for (const one of series) this.line(one, top, window);
    const said = series.map((one) => `${one.name} ${this.newest(one)}`).join(", ");
    this.drawing.setAttribute("aria-label", `${this.name} over the last minutes; now ${said}`);
  }

  line({ name, style, values }, top, window) {
    let line = this.lines.get(name);
    if (!line) {
      const sample = svg("svg", { viewBox: "0 0 24 8", "aria-hidden": "true" }, svg("path", { class: style, d: "M0 4H24" }));
      line = { drawn: svg("path", { class: style }), value: el("b") };
      this.drawing.append(line.drawn);
      this.legend.append(el("li", {}, sample, el("span", { text: name }), line.value));
      this.lines.set(name, line);
    }
    line.drawn.setAttribute("d", path(values, top, WIDTH, HEIGHT, window));
    say(line.value, this.newest({ values }));
  }

  newest({ values }) {
    const value = values.at(-1);
    return value === undefined || Number.isNaN(value) ? "–" : this.words(value);
  }
}
