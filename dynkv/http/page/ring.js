// The ring: every partition with its replicas, from the inside out in the order of its preference list.
//
// Ten colours are too many to tell apart, so a node's arcs can be picked out: by pointing at it, or with its button.

import { colour, el, section, svg } from "./dom.js";
import { count, names } from "./words.js";

const SIZE = 320;
const OUTER = 150;
const BAND = 22;
const GAP = 2;

export class Ring {
  /** `open(partition)`: somebody wants to see it. */
  constructor(open) {
    this.open = open;
    this.body = section("ring");
    this.picked = null;
    this.shown = "";
  }

  /** The ring never changes while members do not, so it is asked for once. */
  async update(view) {
    const members = view.nodes.map((node) => `${node.id} ${node.state === "unheard"}`).join();
    if (members === this.shown) return;
    this.shown = members;
    const answer = await fetch("ring").catch(() => null);
    if (!answer?.ok) {
      this.shown = ""; // not formed yet, or gone: the next overview tries again
      return;
    }
    this.draw(view, await answer.json());
  }

  draw(view, ring) {
    const replicas = Math.min(ring.n, 5);
    this.drawing = svg("svg", { class: "ring", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": described(ring) });
    ring.preference.forEach((preference, partition) => {
      const group = svg("g", { on: { click: () => this.open(partition), pointerenter: () => this.at(partition, preference, ring) } });
      preference.slice(0, replicas).forEach((node, band) => {
        group.append(svg("path", { class: `arc ${colour(view, node)}`, "data-node": node, d: arc(partition, ring.partitions, band, replicas) }));
      });
      this.drawing.append(group);
    });
    this.drawing.append(
      svg("text", { x: SIZE / 2, y: SIZE / 2 - 4, class: "big" }, String(ring.partitions)),
      svg("text", { x: SIZE / 2, y: SIZE / 2 + 16 }, `partitions × ${ring.n}`),
    );
    this.words = el("p", { class: "at", text: "Inner band: the first replica. Point at an arc, or pick a node." });
    this.body.replaceChildren(el("div", { class: view.nodes.length > 5 ? "around many" : "around" }, this.drawing, this.legend(view, ring)), this.words);
  }

  legend(view, ring) {
    const held = (node) => ring.preference.filter((preference) => preference.slice(0, ring.n).includes(node)).length;
    return el("ul", { class: "picks" }, view.nodes.map(({ id }) => el("li", {}, el(
      "button",
      { type: "button", "aria-pressed": "false", "data-node": id, on: { click: () => this.pick(id) } },
      el("i", { class: `chip ${colour(view, id)}`, "aria-hidden": "true" }),
      el("b", { text: id }),
      el("span", { text: count(held(id), "replica") }),
    ))));
  }

  pick(node) {
    this.picked = this.picked === node ? null : node;
    for (const button of this.body.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.node === this.picked));
    }
    for (const part of this.drawing.querySelectorAll(".arc")) {
      part.classList.toggle("faded", this.picked !== null && part.dataset.node !== this.picked);
    }
  }

  at(partition, preference, ring) {
    this.words.textContent = `Partition ${partition}: ${names(preference.slice(0, ring.n))}`;
  }
}

function described(ring) {
  const held = ring.members.map((node) => `${node} ${ring.preference.filter((preference) => preference.slice(0, ring.n).includes(node)).length}`);
  return `Ring of ${ring.partitions} partitions with ${ring.n} replicas each. Replicas held: ${held.join(", ")}.`;
}

/** A piece of one band of the ring. */
function arc(partition, partitions, band, bands) {
  const outer = OUTER - (bands - 1 - band) * (BAND + GAP);
  const inner = outer - BAND;
  const begin = (partition / partitions) * 2 * Math.PI - Math.PI / 2;
  const end = ((partition + (partitions > 1 ? 0.92 : 0.999)) / partitions) * 2 * Math.PI - Math.PI / 2;
  const large = end - begin > Math.PI ? 1 : 0;
  const at = (radius, angle) => `${(SIZE / 2 + radius * Math.cos(angle)).toFixed(2)} ${(SIZE / 2 + radius * Math.sin(angle)).toFixed(2)}`;
  return `M${at(outer, begin)}A${outer} ${outer} 0 ${large} 1 ${at(outer, end)}L${at(inner, end)}A${inner} ${inner} 0 ${large} 0 ${at(inner, begin)}Z`;
}
