// One partition: its replicas in order, its pairs, the leaves of its hash tree that differ, what was repaired in it.

import { el, fill, mark, say, section, svg, table } from "./dom.js";
import { stated } from "./heat.js";
import { logged } from "./log.js";
import { count, duration, names, number } from "./words.js";

const AGAIN_MS = 2000;
const FANOUT = 32;
const STEPS = { roots: "comparing roots", leaves: "comparing leaves", settle: "waiting for writes in flight", keys: "listing keys", repair: "repairing" };
const MARKS = { in_step: "agree", apart: "apart", unknown: "unknown", never: "unknown" };

export class Partition {
  /** `compare(partition)`: have it compared now, resolves to words. */
  constructor(compare) {
    this.compare = compare;
    this.part = document.getElementById("partition");
    this.head = document.getElementById("partition-head");
    this.number = null;
    this.from = null;
    this.timer = 0;
    this.part.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  /** Show it and go there; `from`: where to go back to. */
  async open(partition, from) {
    this.number = partition;
    this.from = from;
    this.body = section("partition");
    this.content = el("div");
    this.done = el("span", { class: "done", role: "status" });
    this.body.append(
      el("div", { class: "tools" },
        el("button", { type: "button", class: "act", text: "Compare now", on: { click: async () => say(this.done, await this.compare(partition)) } }),
        el("button", { type: "button", class: "act", text: "Close", on: { click: () => this.close() } }),
        this.done),
      this.content,
    );
    say(this.head, `Partition ${partition}`);
    this.head.focus({ preventScroll: true });
    this.part.scrollIntoView({ block: "nearest" });
    await this.load();
    this.part.scrollIntoView({ block: "nearest" });
  }

  close() {
    clearTimeout(this.timer);
    this.part.hidden = true;
    this.number = null;
    (this.from ?? document.getElementById("which")).focus();
  }

  /** Now, and again as long as it is open. */
  async load() {
    clearTimeout(this.timer);
    const partition = this.number;
    if (partition === null) return;
    const answer = await fetch(`antientropy?partition=${partition}`).catch(() => null);
    if (partition !== this.number) return; // closed, or another one, in the meantime
    if (answer?.ok) this.draw(await answer.json());
    else fill(this.content, el("p", { text: await failure(answer) }));
    this.timer = setTimeout(() => this.load(), AGAIN_MS);
  }

  draw(found) {
    const fallbacks = found.preference.slice(found.primaries.length);
    const drawn = [
      el("p", {}, "Replicas on ", el("b", { text: names(found.primaries) }), fallbacks.length ? `; then ${names(fallbacks)} stand in.` : "."),
      table(["Pair", "State", "Compared", "By"], found.pairs.map((pair) => pairRow(pair, found))),
      ...found.running.map((one) => progress(one)),
      ...found.leaves.map((row) => leaves(row, found)),
      found.log.length ? logged(found.log) : el("p", { class: "quiet", text: "Nothing was repaired in it lately." }),
    ];
    fill(this.content, ...drawn);
  }
}

async function failure(answer) {
  if (!answer) return "The node did not answer.";
  const problem = await answer.json().catch(() => ({}));
  return problem.detail ?? `The node answered with status ${answer.status}.`;
}

function pairRow(pair, found) {
  const age = pair.compared_ms === null ? "never" : `${duration((found.at_ms - pair.compared_ms) / 1000)} ago`;
  return [
    `${pair.a} and ${pair.b}${pair.n === found.primaries.length ? "" : ` (n=${pair.n})`}`,
    el("span", { class: `state ${MARKS[pair.state]}` }, mark(MARKS[pair.state]), el("span", { text: stated(pair) })),
    age,
    pair.by || "–",
  ];
}

function progress(one) {
  const words = `${one.by} and ${one.peer}: ${STEPS[one.step] ?? one.step}${one.total ? `, ${number(one.done)} of ${number(one.total)}` : ""}`;
  return el("p", { class: "progress" }, el("span", { text: words }), one.total ? el("progress", { max: one.total, value: one.done, "aria-label": words }) : null);
}

/** The leaves of the tree as a square of 32 by 32: a row for each inner node. */
function leaves(row, found) {
  const differing = new Set(row.leaves.map((leaf) => Math.floor(leaf / FANOUT)));
  const drawing = svg("svg", { class: "leaves", viewBox: "-1 -1 322 322", role: "img", "aria-label": `Leaves that differ: ${row.leaves.join(", ")}` });
  for (let inner = 0; inner < FANOUT; inner += 1) {
    drawing.append(svg("rect", { class: differing.has(inner) ? "row differs" : "row", x: 0, y: inner * 10 + 1, width: 320, height: 8, rx: 2 }));
  }
  for (const leaf of row.leaves) {
    const [x, y] = [(leaf % FANOUT) * 10 + 5, Math.floor(leaf / FANOUT) * 10 + 5];
    drawing.append(svg("path", { class: "leaf", d: `M${x - 5} ${y}l5 -5l5 5l-5 5z` }));
  }
  const more = row.total > row.leaves.length ? `; the first ${row.leaves.length} are shown` : "";
  return el(
    "figure",
    { class: "tree" },
    drawing,
    el("figcaption", {},
      el("b", { text: `${row.a} and ${row.b}: ${count(row.total, "leaf", "leaves")} of 1,024 differed` }),
      ` when they were compared ${duration((found.at_ms - row.found_ms) / 1000)} ago${more}. A row is an inner node of the hash tree; a leaf holds the keys whose hash names it.`),
  );
}
