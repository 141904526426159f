// The cluster as this page knows it: an overview, and what changes it. No document and no connection here.

export const pairKey = (pair) => `${pair.partition}/${pair.n}/${pair.a}/${pair.b}`;

/** n2 before n10. */
export const inOrder = (one, two) => one.localeCompare(two, "en", { numeric: true });

const LOG_ROWS = 200;

export class Model {
  constructor() {
    this.view = null;
    this.pairs = new Map(); // by pairKey
    this.told = 0; // when the newest event came, by performance.now()
  }

  /** A whole overview. */
  replace(view) {
    view.nodes.sort((one, two) => inOrder(one.id, two.id));
    this.view = view;
    this.pairs = new Map(view.pairs.map((pair) => [pairKey(pair), pair]));
    this.told = performance.now();
  }

  /** A change; the pairs that it changed. */
  apply(change) {
    const { pairs = [], nodes = [], log = [], ...whole } = change;
    Object.assign(this.view, whole);
    for (const pair of pairs) this.pairs.set(pairKey(pair), pair);
    if (pairs.length) this.view.pairs = [...this.pairs.values()];
    for (const node of nodes) {
      const place = this.view.nodes.findIndex((row) => row.id === node.id);
      if (place < 0) this.view.nodes.push(node);
      else this.view.nodes[place] = node;
    }
    if (log.length) this.view.log = [...log, ...this.view.log].slice(0, LOG_ROWS);
    this.told = performance.now();
    return pairs;
  }

  /** Nothing changed, and the node is still there. */
  beat(at_ms) {
    this.view.at_ms = at_ms;
    this.told = performance.now();
  }

  /** Now, by the clock of the node that tells: all times of an overview are of that clock. */
  now() {
    return this.view.at_ms + performance.now() - this.told;
  }
}
