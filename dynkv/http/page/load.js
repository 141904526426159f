// Rates and latencies over the last ten minutes.

import { Chart } from "./chart.js";
import { section } from "./dom.js";
import { figure, milliseconds } from "./words.js";

export class Load {
  constructor() {
    this.rates = new Chart("Requests a second, all nodes", figure);
    this.latencies = new Chart("99th percentile, the slowest node", milliseconds);
    section("load").append(this.rates.element, this.latencies.element);
  }

  draw(history) {
    this.rates.update([
      { name: "reads", style: "reads", values: history.values((sample) => sample.reads) },
      { name: "writes", style: "writes", values: history.values((sample) => sample.writes) },
    ]);
    this.latencies.update([
      { name: "reads", style: "reads", values: history.values((sample) => sample.readP99) },
      { name: "writes", style: "writes", values: history.values((sample) => sample.writeP99) },
    ]);
  }
}
