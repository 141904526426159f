// The nodes: health in words and by shape, load, latency, what they hold and what is owed to them.

import { path } from "./chart.js";
import { colour, el, fill, mark, section, svg, table } from "./dom.js";
import { count, figure, milliseconds, number } from "./words.js";

const HEAD = ["Node", "State", "Requests", "Reads/s", "Writes/s", "p99 read", "p99 write", "Link", "Replicas", "Trees", "Owed"];
const NUMBERS = [3, 4, 5, 6, 7, 8, 10];
const SPARK = 60;

const STATES = {
  up: ["agree", "up"],
  silent: ["unknown", "does not say how it is"],
  suspected: ["down", "suspected to be down"],
  down: ["down", "down"],
  unheard: ["unknown", "never heard of"],
};

export class Nodes {
  constructor() {
    this.body = section("nodes");
  }

  update(view, history) {
    fill(this.body, table(HEAD, view.nodes.map((node) => row(view, node, history)), NUMBERS));
  }
}

function row(view, node, history) {
  const [shape, words] = health(node);
  const load = node.load ?? {};
  return [
    el("span", { class: "name" }, el("i", { class: `chip ${colour(view, node.id)}`, "aria-hidden": "true" }), named(view, node), place(node)),
    el("span", { class: `state ${shape}` }, mark(shape), el("span", { text: words })),
    spark(history, node.id),
    figure(load.reads_per_s),
    figure(load.writes_per_s),
    milliseconds(load.read_p99_ms),
    milliseconds(load.write_p99_ms),
    node.id === view.node ? "asked" : milliseconds(node.state === "up" ? node.latency_ms : null),
    number(node.replicas),
    trees(node.trees),
    number(node.owed),
  ];
}

/** The worst of what is known of a node: [mark, words]. */
function health(node) {
  if (node.state !== "up") return node.why && node.state === "silent" ? ["unknown", node.why] : STATES[node.state];
  if (node.not_ready.length) return ["down", node.not_ready.join("; ")];
  if (node.unreached_by.length) return ["down", `not reached by ${node.unreached_by.join(", ")}`];
  if (node.refill) return ["apart", `being refilled, ${number(node.refill.done)} of ${count(node.refill.total, "partition")}`];
  if (!node.complete) return ["apart", "lost data"];
  if (node.trees.building) return ["unknown", `trees being rebuilt, ${Math.floor(node.trees.fraction * 100)} %`];
  if (node.trees.unreadable) return ["unknown", `${count(node.trees.unreadable, "tree")} unreadable`];
  return STATES.up;
}

/** The node's id, as a link to its own page if it has one. */
function named(view, node) {
  const url = node.id === view.node ? null : address(node.http);
  return url ? el("a", { href: url, text: node.id }) : el("b", { text: node.id });
}

function address(http) {
  if (!http) return null;
  try {
    const url = new URL(http.includes("//") ? http : `http://${http}`);
    return /^https?:$/.test(url.protocol) ? url.href : null;
  } catch {
    return null; // a node may call its address anything
  }
}

function place(node) {
  const words = [node.region, node.zone].filter(Boolean).join(" · ");
  return words ? el("small", { text: words }) : null;
}

function trees(found) {
  if (!found) return "–";
  const total = found.exact + found.building + found.unreadable;
  return found.exact === total ? "exact" : `${number(found.exact)} of ${number(total)} exact`;
}

function spark(history, id) {
  const values = history.values((sample) => sample.nodes[id]).slice(-SPARK);
  const top = Math.max(1, ...values.filter((value) => !Number.isNaN(value)));
  return svg(
    "svg",
    { class: "spark", viewBox: "0 0 90 22", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { d: path(values, top * 1.15, 90, 22, SPARK) }),
  );
}
