// The line to the node: server-sent events, with everything that can go wrong with them.
//
// EventSource connects again by itself, but not after an answer that is no stream (503: too many, or not formed yet), and
// it does not notice a line that is dead without a word. Both are done here. Whenever the line is not known to be good,
// `lost` has been called, so that the page never shows old news as new. Every line begins with a whole overview.

const SILENCE_MS = 12000; // the node says something at least every 5 s
const RETRY_MS = 2000;
const RETRY_MS_MAX = 15000;

export class Live {
  /** `heard`: {overview, change, beat}, each given the event's data. `found()`, `lost()`: at each turn. */
  constructor(heard, found, lost) {
    this.heard = heard;
    this.found = found;
    this.lost = lost;
    this.good = false;
    this.retry = RETRY_MS;
    this.source = null;
    this.alarm = 0;
  }

  start() {
    this.source = new EventSource("events");
    this.source.addEventListener("error", () => this.failed());
    for (const kind of Object.keys(this.heard)) {
      this.source.addEventListener(kind, (event) => this.take(kind, JSON.parse(event.data)));
    }
    this.expect();
  }

  take(kind, data) {
    this.retry = RETRY_MS;
    this.expect();
    this.heard[kind](data);
    if (!this.good) {
      this.good = true;
      this.found();
    }
  }

  failed() {
    this.gone();
    if (this.source.readyState === EventSource.CLOSED) this.again();
  }

  /** From now on the line has so long to say something. */
  expect() {
    clearTimeout(this.alarm);
    this.alarm = setTimeout(() => {
      this.gone();
      this.again();
    }, SILENCE_MS);
  }

  gone() {
    if (this.good) this.lost();
    this.good = false;
  }

  again() {
    this.source.close();
    clearTimeout(this.alarm);
    this.alarm = setTimeout(() => this.start(), this.retry);
    this.retry = Math.min(2 * this.retry, RETRY_MS_MAX);
  }
}
