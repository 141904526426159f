// What the page has seen since it was opened, a sample a second: what is charted. The cluster itself keeps no history.

const SAMPLES = 600;

export class History {
  constructor() {
    this.samples = []; // {at, reads, writes, readP99, writeP99, hints: {target: count}, nodes: {id: requests/s}}; null in a gap
  }

  /** The cluster as it is now; without a view, a gap. */
  add(view) {
    this.samples.push(view ? sample(view) : null);
    if (this.samples.length > SAMPLES) this.samples.shift();
  }

  /** One number of every sample, NaN in gaps: the newest last. */
  values(pick) {
    return this.samples.map((one) => (one === null ? NaN : (pick(one) ?? NaN)));
  }

  /** All targets that were ever owed anything. */
  targets() {
    return [...new Set(this.samples.flatMap((one) => (one ? Object.keys(one.hints) : [])))].sort();
  }
}

function sample(view) {
  const loads = view.nodes.map((node) => node.load).filter(Boolean);
  const sum = (name) => loads.reduce((total, load) => total + load[name], 0);
  const worst = (name) => loads.reduce((most, load) => (load[name] === null ? most : Math.max(most ?? 0, load[name])), null);
  return {
    reads: sum("reads_per_s"),
    writes: sum("writes_per_s"),
    readP99: worst("read_p99_ms"),
    writeP99: worst("write_p99_ms"),
    hints: Object.fromEntries(view.hints.map((hint) => [hint.target, hint.count])),
    nodes: Object.fromEntries(view.nodes.map((node) => [node.id, node.load ? node.load.reads_per_s + node.load.writes_per_s : null])),
  };
}
