// A key, and what each of its replicas holds of it.

import { el, mark, say, section, table } from "./dom.js";
import { bytes, count, time } from "./words.js";

const HEAD = ["Replica", "State", "Values", "Vector", "Digest"];
const STATES = {
  same: ["agree", "up to date"],
  behind: ["apart", "behind"],
  apart: ["apart", "has what others miss"],
  absent: ["apart", "holds nothing"],
  unreachable: ["unknown", "not reached"],
  unreadable: ["unknown", "cannot be read"],
};

export class Lookup {
  /** `open(partition, from)`: show the key's partition. */
  constructor(open) {
    this.open = open;
    this.bucket = el("input", { id: "bucket", required: true, value: "default", autocomplete: "off", spellcheck: "false" });
    this.key = el("input", { id: "key", required: true, autocomplete: "off", spellcheck: "false" });
    this.status = el("p", { role: "status" });
    this.found = el("div");
    const submit = (event) => {
      event.preventDefault();
      this.look(this.bucket.value, this.key.value);
    };
    section("lookup").append(
      el("form", { class: "choose", on: { submit } },
        el("label", { for: "bucket", text: "Bucket" }), this.bucket,
        el("label", { for: "key", text: "Key" }), this.key,
        el("button", { text: "Look up" })),
      this.status,
      this.found,
    );
  }

  async look(bucket, key) {
    this.found.replaceChildren();
    if (key === "." || key === "..") {
      say(this.status, "A browser cannot ask for this key; dynkv kv where can.");
      return;
    }
    say(this.status, "Asking its replicas …");
    const answer = await fetch(`kv/${encodeURIComponent(bucket)}/${encodeURIComponent(key)}?replicas=true`).catch(() => null);
    const found = await answer?.json().catch(() => null);
    if (!answer?.ok || !found?.replicas) {
      say(this.status, found?.detail ?? "The node did not answer.");
      return;
    }
    this.draw(found);
  }

  draw(found) {
    // Fallbacks hold nothing as long as all is well: those are only counted.
    const shown = found.replicas.filter((replica) => replica.role !== "fallback" || replica.state !== "absent");
    const others = found.replicas.length - shown.length;
    say(this.status, summed(found));
    this.found.append(
      table(HEAD, shown.map((replica) => row(replica))),
      el("p", { class: "quiet", text: others ? `${count(others, "other node")} ${others === 1 ? "holds" : "hold"} nothing of it, as ${others === 1 ? "it" : "they"} should.` : "" }),
      el("button", { type: "button", class: "act", text: `Open partition ${found.partition}`, on: { click: (event) => this.open(found.partition, event.target) } }),
    );
  }
}

/** In a sentence: whether it is there, and where it is whole. */
function summed({ replicas, tombstone }) {
  const primaries = replicas.filter((replica) => replica.role !== "fallback");
  const of = (state, list) => list.filter((replica) => replica.state === state).length;
  if (of("absent", replicas) === replicas.length) return "No replica holds this key.";
  const silent = of("unreachable", replicas) + of("unreadable", replicas);
  if (of("absent", replicas) + silent === replicas.length) return "No replica that could be asked holds this key.";
  const whole = `${of("same", primaries)} of ${count(primaries.length, "replica")} ${primaries.length === 1 ? "holds" : "hold"} all that is known of it.`;
  return tombstone ? `${whole} It is deleted, and its tombstone still kept: ${tombstone}.` : whole;
}

function row(replica) {
  const [shape, words] = STATES[replica.state] ?? ["unknown", replica.state];
  const node = replica.role === "fallback" ? `${replica.node} (stands in)` : replica.node;
  return [
    node,
    el("span", { class: `state ${shape}` }, mark(shape), el("span", { text: replica.why ? `${words}: ${replica.why}` : words })),
    el("ul", { class: "siblings" }, (replica.siblings ?? []).map((sibling) => el("li", { text: sibling_words(sibling) }))),
    el("code", { text: (replica.vector ?? []).map(([actor, counter]) => `${actor.slice(0, 6)}:${counter}`).join(" ") || "–" }),
    el("code", { text: replica.digest ? replica.digest.slice(0, 12) : "–" }),
  ];
}

function sibling_words(sibling) {
  const when = sibling.time ? when_words(sibling.time) : "";
  const what = sibling.deleted ? "deleted" : `${sibling.content_type}, ${bytes(sibling.bytes)}`;
  return `${what}${when}`;
}

function when_words(told) {
  const ms = typeof told === "number" ? told : Date.parse(told);
  return Number.isNaN(ms) ? `, ${told}` : `, ${new Date(ms).toLocaleDateString()} ${time(ms)}`;
}
