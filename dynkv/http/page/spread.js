// How long it took until a write was at a replica, by the way it came there; and the slow upkeep: tombstones and scrub.

import { el, section } from "./dom.js";
import { count, figure, number } from "./words.js";

const ORDER = ["replication", "read repair", "hint", "exchange"];

export class Spread {
  constructor() {
    this.bars = el("div", { class: "bars" });
    this.facts = el("dl", { class: "facts" });
    section("spread").append(this.bars, this.facts);
  }

  update(view) {
    const { bounds_s: bounds, mechanisms } = view.convergence;
    const known = ORDER.filter((name) => mechanisms[name]).concat(Object.keys(mechanisms).filter((name) => !ORDER.includes(name)));
    this.bars.replaceChildren(...known.map((name) => histogram(name, mechanisms[name], bounds)));
    this.facts.replaceChildren(...facts(view).flatMap(([name, text]) => [el("dt", { text: name }), el("dd", { text })]));
  }
}

function histogram(name, counts, bounds) {
  const total = counts.reduce((sum, value) => sum + value, 0);
  const most = Math.max(1, ...counts);
  const words = total ? `half ${within(counts, bounds, 0.5)}, 99 % ${within(counts, bounds, 0.99)}` : "none yet";
  const columns = counts.map((value) => {
    const column = el("i", { class: value ? "some" : null });
    // A root, so that the rare slow ones are seen beside the many quick ones.
    column.style.setProperty("--part", Math.sqrt(value / most).toFixed(3));
    return column;
  });
  return el(
    "div",
    { class: "histogram" },
    el("p", {}, el("b", { text: name }), el("span", { text: `${count(total, "write")}: ${words}` })),
    el("div", { class: "columns", role: "img", "aria-label": `${name}: ${words}` }, columns),
    el("p", { class: "axis", "aria-hidden": "true" }, el("span", { text: short(bounds[0]) }), el("span", { text: short(bounds[Math.floor(bounds.length / 2) - 1]) }), el("span", { text: `over ${short(bounds.at(-1))}` })),
  );
}

/** The bucket's bound below which this part of all is. */
function within(counts, bounds, part) {
  const total = counts.reduce((sum, value) => sum + value, 0);
  let seen = 0;
  for (const [bucket, value] of counts.entries()) {
    seen += value;
    if (seen >= part * total) return bucket < bounds.length ? `within ${short(bounds[bucket])}` : `over ${short(bounds.at(-1))}`;
  }
  return "";
}

/** A bound, kept on one line with its unit. */
function short(seconds) {
  for (const [step, unit, limit] of [[0.001, "ms", 1], [1, "s", 60], [60, "min", 3600]]) {
    if (seconds < limit) return `${Math.round(seconds / step)}\u00a0${unit}`;
  }
  return `${Math.round(seconds / 3600)}\u00a0h`;
}

function facts(view) {
  const { waiting, reaped } = view.tombstones;
  const waits = waiting.reduce((sum, row) => sum + row.count, 0);
  const scrubs = view.nodes.filter((node) => node.scrub).map(({ id, scrub }) => {
    const damage = scrub.damaged ? `, ${number(scrub.damaged)} damaged, ${number(scrub.repaired)} repaired` : "";
    return `${id} cycle ${scrub.cycle}, ${Math.floor(scrub.fraction * 100)} %${damage}`;
  });
  return [
    ["Tombstones", `${number(waits)} wait, ${number(reaped)} reaped since the nodes started`],
    ...waiting.map((row) => ["", `${number(row.count)}: ${row.why}`]),
    ["Scrub", scrubs.join("; ") || "–"],
    ["Repairing now", `${figure(view.totals.repaired_per_s ?? 0)} keys/s`],
  ];
}
