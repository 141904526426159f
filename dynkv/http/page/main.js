// The page: one line to the node, one model of the cluster, and parts that each show some of it.

import { Heat } from "./heat.js";
import { Hints } from "./hints.js";
import { History } from "./history.js";
import { Live } from "./live.js";
import { Load } from "./load.js";
import { Log } from "./log.js";
import { Lookup } from "./lookup.js";
import { Model } from "./model.js";
import { Nodes } from "./nodes.js";
import { Partition } from "./partition.js";
import { Ring } from "./ring.js";
import { Sentence } from "./sentence.js";
import { Spread } from "./spread.js";
import { count, names } from "./words.js";

const AGES_EVERY = 5; // seconds between looks at how old comparisons are

/** Have pairs compared now; in words what came of it. */
async function compare(partition) {
  const query = partition === undefined ? "" : `?partition=${partition}`;
  const answer = await fetch(`antientropy/run${query}`, { method: "POST" }).catch(() => null);
  const said = await answer?.json().catch(() => null);
  if (!answer?.ok || !said) return said?.detail ?? "the node did not answer";
  const begun = Object.values(said).reduce((sum, pairs) => sum + (pairs ?? 0), 0);
  const silent = Object.keys(said).filter((node) => said[node] === null);
  return `${count(begun, "comparison")} begun${silent.length ? `; no answer of ${names(silent)}` : ""}`;
}

class Page {
  constructor() {
    this.model = new Model();
    this.history = new History();
    this.sentence = new Sentence();
    this.parts = null; // made when there is something to show: until then the server's tables stand
    this.seconds = 0;
    this.live = new Live(
      {
        overview: (view) => this.overview(view),
        change: (change) => this.change(change),
        beat: ({ at_ms }) => this.model.beat(at_ms),
      },
      () => this.sentence.found(),
      () => this.sentence.lost(this.model.view),
    );
  }

  start() {
    this.live.start();
    setInterval(() => this.tick(), 1000);
  }

  overview(view) {
    this.model.replace(view);
    this.parts ??= this.make();
    this.parts.heat.build(view);
    this.show(view);
  }

  change(change) {
    const changed = this.model.apply(change);
    this.parts.heat.update(this.model.view, changed);
    this.show(this.model.view, change);
  }

  make() {
    const partition = new Partition(compare);
    const open = (number, from) => partition.open(number, from);
    return {
      nodes: new Nodes(),
      ring: new Ring((number) => open(number, null)),
      heat: new Heat(this.model, open, () => compare()),
      hints: new Hints(),
      load: new Load(),
      spread: new Spread(),
      lookup: new Lookup(open),
      log: new Log(),
    };
  }

  /** Everything, or what `changed` names. */
  show(view, changed = null) {
    const any = (...names) => changed === null || names.some((name) => name in changed);
    const { nodes, ring, hints, spread, log } = this.parts;
    this.sentence.update(view);
    if (any("nodes")) nodes.update(view, this.history);
    if (any("nodes")) ring.update(view);
    if (any("hints")) hints.update(view, this.model.now());
    if (any("convergence", "tombstones", "nodes", "totals")) spread.update(view);
    if (any("log", "totals")) log.update(view);
  }

  tick() {
    if (!this.parts) return;
    this.history.add(this.live.good ? this.model.view : null);
    this.parts.load.draw(this.history);
    this.parts.hints.draw(this.model.view, this.history);
    this.seconds += 1;
    if (this.seconds % AGES_EVERY === 0) this.parts.heat.ages();
  }
}

new Page().start();
