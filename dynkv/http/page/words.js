// Numbers, times and sizes as people say them; as dynkv/core/phrases.py does.

const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

export const number = (value) => whole.format(value);

/** `1 key`, `1,204 keys`. */
export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** Rounded up: no age is flattered. */
export function duration(seconds) {
  let value = Math.max(seconds, 0);
  for (const [step, unit, limit] of [[60, "s", 120], [60, "min", 120], [24, "h", 48]]) {
    if (value < limit) return `${Math.max(1, Math.ceil(value))} ${unit}`;
    value /= step;
  }
  return `${number(Math.ceil(value))} days`;
}

export function bytes(value) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1024 || unit === "GiB") return `${value < 10 && unit !== "B" ? value.toFixed(1) : number(Math.round(value))} ${unit}`;
    value /= 1024;
  }
}

/** A rate or a latency: three digits are enough. */
export function figure(value) {
  if (value === null || value === undefined) return "–";
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : number(Math.round(value));
}

export const milliseconds = (value) => (value === null || value === undefined ? "–" : `${figure(value)} ms`);

/** The time of day, on the clock of whoever reads. */
export const time = (ms) => clock.format(new Date(ms));

/** `n1`, `n1 and n2`, `n1, n2 and n3`. */
export function names(list) {
  return list.length < 2 ? list.join("") : `${list.slice(0, -1).join(", ")} and ${list.at(-1)}`;
}
