// One place in the order of Tab for many cells: arrows, Home and End, Page Up and Page Down move among them.

export class Grid {
  /** `at(cell)`: it has the focus or the pointer; `enter(cell)`: it was chosen. Cells are the `button`s in `root`. */
  constructor(root, at, enter) {
    this.root = root;
    this.current = null;
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("focusin", (event) => {
      if (!event.target.matches("button")) return;
      this.hold(event.target);
      at(event.target);
    });
    root.addEventListener("pointerover", (event) => event.target.matches("button") && at(event.target));
    root.addEventListener("click", (event) => event.target.matches("button") && enter(event.target));
  }

  cells() {
    return [...this.root.querySelectorAll("button")];
  }

  /** The cells are new. */
  reset() {
    const [first] = this.cells();
    this.current = null;
    if (first) this.hold(first);
  }

  hold(cell) {
    if (this.current) this.current.tabIndex = -1;
    cell.tabIndex = 0;
    this.current = cell;
  }

  key(event) {
    const cells = this.cells();
    const place = cells.indexOf(event.target);
    if (place < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const groups = [...this.root.children];
    const group = groups.findIndex((one) => one.contains(event.target));
    const of = (number) => groups[Math.max(0, Math.min(number, groups.length - 1))].querySelector("button");
    const next = {
      ArrowRight: () => cells[place + 1],
      ArrowLeft: () => cells[place - 1],
      ArrowDown: () => beside(cells, event.target, 1),
      ArrowUp: () => beside(cells, event.target, -1),
      Home: () => cells[0],
      End: () => cells.at(-1),
      PageDown: () => of(group + 1),
      PageUp: () => of(group - 1),
    }[event.key];
    if (!next) return;
    event.preventDefault();
    next()?.focus();
  }
}

/** The cell above (-1) or below (1): of the nearest row there, the one nearest in it. */
function beside(cells, from, way) {
  const middle = (cell) => {
    const { left, top, width, height } = cell.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  };
  const [x, y] = middle(from);
  let best = null;
  let nearest = Infinity;
  for (const cell of cells) {
    const [cx, cy] = middle(cell);
    const down = (cy - y) * way;
    if (down < 4) continue;
    const distance = down * 1000 + Math.abs(cx - x);
    if (distance < nearest) [best, nearest] = [cell, distance];
  }
  return best;
}
