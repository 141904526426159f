// The heat map: every two nodes that share partitions, and every partition they share, as a cell.
//
// A cell is told by its shape as much as by its colour: a square in step, a diamond apart (larger for more keys), a ring
// unknown, a dot not compared yet. A square fades as its comparison gets older. Cells are buttons with one place among
// them in the order of Tab; arrows go from cell to cell, Enter opens the partition.

import { el, fill, say, section } from "./dom.js";
import { Grid } from "./grid.js";
import { inOrder, pairKey } from "./model.js";
import { count, duration, names } from "./words.js";

const TROUBLES = 8;
const LEGEND = [
  [{ "data-state": "in_step", "data-age": 0 }, "in step"],
  [{ "data-state": "in_step", "data-age": 3 }, "as of a while ago"],
  [{ "data-state": "apart", "data-much": 0 }, "few keys apart"],
  [{ "data-state": "apart", "data-much": 2 }, "many"],
  [{ "data-state": "unknown" }, "unknown"],
  [{ "data-state": "never" }, "not compared yet"],
  [{ "data-state": "in_step", "data-running": true }, "being compared"],
];

export class Heat {
  /** `open(partition, cell)`: show the partition; `compare()`: have everything compared now, resolves to words. */
  constructor(model, open, compare) {
    this.model = model;
    this.open = open;
    this.cells = new Map(); // by pairKey
    this.groups = new Map(); // by "a/b"
    this.map = el("div", { class: "map" });
    this.grid = new Grid(this.map, (cell) => say(this.words, this.describe(cell)), (cell) => this.enter(cell));
    this.words = el("p", { class: "at", "aria-hidden": "true", text: "Choose a cell to see its partition." });
    this.troubles = el("ul", { class: "troubles", on: { click: ({ target }) => target.dataset.partition && this.open(Number(target.dataset.partition), null) } });
    this.compared = el("span", { class: "done", role: "status" });
    this.body = section("heat");
    this.body.append(
      el("div", { class: "heads" }, this.legend(), el("div", { class: "tools" }, this.compared, this.chooser(), this.button(compare))),
      this.map,
      this.words,
      this.troubles,
    );
  }

  /** Everything anew. */
  build(view) {
    this.cells.clear();
    this.groups.clear();
    const shared = new Map();
    for (const pair of view.pairs) {
      const nodes = `${pair.a}/${pair.b}`;
      if (!shared.has(nodes)) shared.set(nodes, []);
      shared.get(nodes).push(pair);
    }
    const sorted = [...shared].sort(([one], [two]) => inOrder(ordered(one).join("/"), ordered(two).join("/")));
    this.map.replaceChildren(...sorted.map(([nodes, pairs]) => this.group(nodes, pairs)));
    this.map.classList.toggle("many", sorted.length > 6);
    this.input.max = view.partitions - 1;
    this.grid.reset();
    this.update(view, view.pairs);
  }

  group(nodes, pairs) {
    const [a, b] = ordered(nodes);
    const sum = el("span", { class: "sum" });
    const cells = pairs.map((pair) => {
      const cell = el("button", { type: "button", class: "cell", tabindex: "-1" });
      cell.dataset.key = pairKey(pair);
      this.cells.set(cell.dataset.key, cell);
      return cell;
    });
    this.groups.set(nodes, sum);
    return el(
      "div",
      { class: "pair", role: "group", "aria-label": `${a} and ${b}` },
      el("p", { class: "who" }, el("b", { text: `${a} · ${b}` }), sum),
      el("div", { class: "cells" }, cells),
    );
  }

  update(view, changed) {
    if (changed.some((pair) => !this.cells.has(pairKey(pair)))) return this.build(view);
    const running = new Set(view.running.map(({ partition, n, by, peer }) => pairKey({ partition, n, a: by < peer ? by : peer, b: by < peer ? peer : by })));
    for (const [key, cell] of this.cells) if (cell.hasAttribute("data-running") !== running.has(key)) cell.toggleAttribute("data-running", running.has(key));
    for (const pair of changed) this.paint(this.cells.get(pairKey(pair)), pair);
    if (changed.length) this.sum(view);
    return undefined;
  }

  paint(cell, pair) {
    const { dataset } = cell;
    dataset.state = pair.state;
    if (pair.state === "apart") dataset.much = pair.apart < 10 ? 0 : pair.apart < 1000 ? 1 : 2;
    else delete dataset.much;
    this.age(cell, pair);
    cell.setAttribute("aria-label", said(pair));
  }

  /** Squares fade; called now and then for all. */
  ages() {
    for (const [key, cell] of this.cells) this.age(cell, this.model.pairs.get(key));
  }

  age(cell, pair) {
    const cycle_ms = this.model.view.cycle_s * 1000 || 60000;
    const age = Math.min(3, Math.floor(((this.model.now() - pair.compared_ms) / cycle_ms) * 2));
    const shown = pair.state === "in_step" ? String(Math.max(0, age)) : "";
    if ((cell.dataset.age ?? "") === shown) return;
    if (shown) cell.dataset.age = shown;
    else delete cell.dataset.age;
  }

  sum(view) {
    const sums = new Map([...this.groups.keys()].map((nodes) => [nodes, { in_step: 0, apart: 0, unknown: 0, never: 0, keys: 0 }]));
    for (const pair of view.pairs) {
      const sum = sums.get(`${pair.a}/${pair.b}`);
      sum[pair.state] += 1;
      sum.keys += pair.apart;
    }
    for (const [nodes, sum] of sums) say(this.groups.get(nodes), summed(sum));
    this.trouble(view.pairs.filter((pair) => pair.state !== "in_step"));
  }

  /** What is not in step, in words, for those to whom a map says nothing. */
  trouble(pairs) {
    const apart = pairs.filter((pair) => pair.state === "apart").sort((one, two) => two.apart - one.apart);
    const items = apart.slice(0, TROUBLES).map((pair) => el("li", {}, el("button", { type: "button", "data-partition": pair.partition, text: said(pair) })));
    if (apart.length > TROUBLES) items.push(el("li", { text: `and ${count(apart.length - TROUBLES, "other pair")} apart` }));
    const others = new Map();
    for (const pair of pairs) {
      if (pair.state !== "apart") others.set(stated(pair), (others.get(stated(pair)) ?? 0) + 1);
    }
    for (const [state, number] of others) items.push(el("li", { text: `${count(number, "pair")} ${state}` }));
    fill(this.troubles, ...items);
  }

  describe(cell) {
    const pair = this.model.pairs.get(cell.dataset.key);
    const age = pair.compared_ms === null ? "" : `, compared ${duration((this.model.now() - pair.compared_ms) / 1000)} ago by ${pair.by}`;
    return `${said(pair)}${age}`;
  }

  enter(cell) {
    this.open(this.model.pairs.get(cell.dataset.key).partition, cell);
  }

  legend() {
    return el("ul", { class: "legend" }, LEGEND.map(([given, text]) => el("li", {}, el("i", { class: "cell", "aria-hidden": "true", ...given }), text)));
  }

  chooser() {
    this.input = el("input", { type: "number", min: 0, step: 1, inputmode: "numeric", required: true, id: "which" });
    const submit = (event) => {
      event.preventDefault();
      this.open(this.input.valueAsNumber, null);
    };
    return el("form", { class: "choose", on: { submit } }, el("label", { for: "which", text: "Partition" }), this.input, el("button", { text: "Open" }));
  }

  button(compare) {
    const act = async () => say(this.compared, await compare());
    return el("button", { type: "button", class: "act", text: "Compare now", on: { click: act } });
  }
}

const ordered = (nodes) => nodes.split("/").sort(inOrder);

const said = (pair) => `Partition ${pair.partition}, ${names([pair.a, pair.b].sort(inOrder))}: ${stated(pair)}`;

export function stated(pair) {
  if (pair.state === "in_step") return "in step";
  if (pair.state === "apart") return pair.apart ? `${count(pair.apart, "key")} apart` : "apart";
  const why = pair.why ? `: ${pair.why}` : "";
  return pair.state === "unknown" ? `unknown${why}` : `not compared yet${why}`;
}

function summed({ in_step, apart, unknown, never, keys }) {
  const parts = [];
  if (apart) parts.push(`${count(keys, "key")} apart`);
  if (unknown) parts.push(`${unknown} unknown`);
  if (never) parts.push(`${never} not yet`);
  if (in_step || !parts.length) parts.push(parts.length ? `${in_step} in step` : `all ${in_step} in step`);
  return parts.join(", ");
}
