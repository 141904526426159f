// What exchanges and repairs did, the newest first.

import { el, fill, say, section, table } from "./dom.js";
import { bytes, count, number, time } from "./words.js";

const HEAD = ["Time", "What", "Nodes", "Partition", "Pulled", "Pushed", "Moved", "Took", "Result"];
const NUMBERS = [3, 4, 5, 6, 7];

const FEW = 12;

export class Log {
  constructor() {
    this.sum = el("p", { class: "quiet" });
    this.rows = el("div", { class: "wide", tabindex: "0", role: "region", "aria-labelledby": "log-head" });
    this.all = false;
    this.more = el("button", { type: "button", class: "act", on: { click: () => this.toggle() } });
    section("log").append(this.sum, this.rows, this.more);
  }

  update(view) {
    this.view = view;
    const { totals, log } = view;
    say(this.sum, `Since the nodes started: ${count(totals.comparisons ?? 0, "comparison")}, ${count((totals.keys_pulled ?? 0) + (totals.keys_pushed ?? 0), "key")} repaired, ${bytes((totals.bytes_pulled ?? 0) + (totals.bytes_pushed ?? 0))} moved. What is pulled goes to the node named first.`);
    fill(this.rows, log.length ? logged(this.all ? log : log.slice(0, FEW)) : el("p", { text: "Nothing was repaired yet." }));
    this.more.hidden = log.length <= FEW;
    say(this.more, this.all ? "Show fewer" : `Show all ${log.length}`);
  }

  toggle() {
    this.all = !this.all;
    this.update(this.view);
  }
}

/** The table of these entries. */
export const logged = (entries) => table(HEAD, rows(entries), NUMBERS, "rows log");

function rows(entries) {
  return entries.map((entry) => [
    time(entry.ended_ms),
    entry.what,
    entry.peer === null ? entry.node : `${entry.node} and ${entry.peer}`,
    entry.partition === null ? "–" : String(entry.partition),
    number(entry.pulled),
    number(entry.pushed),
    bytes(entry.bytes),
    `${number(entry.took_ms)} ms`,
    entry.result,
  ]);
}
