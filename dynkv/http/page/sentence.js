// The big sentence, what stands below it, and whether it is fresh. What is not live is unknown, never still good.

import { el, fill, say } from "./dom.js";
import { duration, time } from "./words.js";

const ALOUD_MS = 5000;

export class Sentence {
  constructor() {
    this.text = document.getElementById("say");
    this.also = document.getElementById("also");
    this.estimate = document.getElementById("estimate");
    this.last = document.getElementById("last");
    this.aloud = document.getElementById("aloud");
    this.line = document.querySelector("#live .words");
    this.shape = "";
    this.waiting = 0;
  }

  update({ verdict, estimate }) {
    this.show(verdict.state, verdict.text, verdict.also, until(estimate, verdict.state));
    this.last.hidden = true;
  }

  found() {
    document.body.dataset.live = "yes";
    say(this.line, "live");
  }

  lost(view) {
    const since = time(Date.now());
    document.body.dataset.live = "no";
    say(this.line, `not live since ${since}, connecting again`);
    this.show("unknown", `unknown: nothing was heard since ${since}`, [], "");
    this.last.hidden = false;
    say(this.last, `Last known: ${view.verdict.text}`);
  }

  show(state, text, also, estimate) {
    document.body.dataset.state = state;
    document.title = `${text} · dynkv`;
    say(this.text, text);
    say(this.estimate, estimate);
    fill(this.also, ...also.map((line) => el("li", { text: line })));
    this.speak(`${state} ${text}`.replace(/[\d,.]+/g, "#"), text);
  }

  /** For those who listen: when what is said changes, not when a number in it does, and not too often. */
  speak(shape, text) {
    if (shape === this.shape) return;
    this.shape = shape;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => say(this.aloud, text), this.aloud.textContent ? ALOUD_MS : 0);
  }
}

function until({ seconds, why }, state) {
  if (seconds === null) return `When all replicas will agree cannot be said: ${why}.`;
  return seconds === 0 || state === "agree" ? "" : `All replicas should agree in about ${duration(seconds)}.`;
}
