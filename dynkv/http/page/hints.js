// Hints: what waits for whom, and how that grew and is paid.

import { Chart } from "./chart.js";
import { colour, el, fill, section, table } from "./dom.js";
import { bytes, count, duration, figure, number } from "./words.js";

const HEAD = ["Owed to", "Writes", "Bytes", "Oldest", "Paid/s", "Kept by"];

export class Hints {
  constructor() {
    this.chart = new Chart("Writes that wait, by node", (value) => number(Math.round(value)));
    this.rows = el("div");
    section("hints").append(this.rows, this.chart.element);
  }

  update(view, now) {
    const owed = view.hints.filter((hint) => hint.count);
    fill(this.rows, owed.length ? table(HEAD, owed.map((hint) => row(hint, now)), [1, 2, 3, 4]) : el("p", { class: "quiet", text: "Nothing waits for anybody." }));
  }

  draw(view, history) {
    const targets = history.targets();
    this.chart.element.hidden = !targets.length;
    this.chart.update(targets.map((target) => ({ name: target, style: colour(view, target), values: history.values((sample) => sample.hints[target] ?? 0) })));
  }
}

function row(hint, now) {
  return [
    hint.target,
    number(hint.count),
    bytes(hint.bytes),
    hint.oldest_ms === null ? "–" : `${duration((now - hint.oldest_ms) / 1000)} ago`,
    figure(hint.paid_per_s),
    hint.holders.filter((holder) => holder.count).map((holder) => `${holder.node}: ${count(holder.count, "write")}`).join(", "),
  ];
}
