"""A picture of a history: faults above, then how much was answered, then every process' operations, and what was wrong.

One SVG, without scripts. What is under the pointer says what it is. Where there are more operations than can be told
apart, all that are odd are drawn, and of the others a part.
"""

from collections.abc import Iterator, Sequence

from dynkv.check.history import Anomaly, Fault, History, Op

WIDTH, LEFT, ROW = 1200, 110, 16
DRAWN_MAX = 4000
BINS = 220
TICKS = 12


class _Page:
    """Rows from the top; times become places."""

    def __init__(self, seconds: float) -> None:
        self._scale = (WIDTH - LEFT - 10) / max(seconds, 0.001)
        self._seconds = seconds
        self.y = 24
        self.parts: list[str] = []

    def x(self, time: float) -> float:
        return round(LEFT + min(time, self._seconds) * self._scale, 2)

    def row(self, name: str, height: int = ROW) -> int:
        """The top of a new row."""
        top = self.y
        self.parts.append(f'<text x="{LEFT - 6}" y="{top + height - 5}" class="name">{escaped(name)}</text>')
        self.y += height
        return top

    def bar(self, style: str, begin: float, end: float, top: float, height: float, title: str) -> None:
        left = self.x(begin)
        width = max(1.2, round(self.x(end) - left, 2))
        place = f'x="{left}" y="{top}" width="{width}" height="{height}"'
        self.parts.append(f'<rect class="{style}" {place}><title>{escaped(title)}</title></rect>')


def svg(history: History, anomalies: Sequence[Anomaly]) -> str:
    """The picture."""
    ends = [op.end for op in history.ops if op.end < float("inf")]
    seconds = max([history.head.seconds, *ends])
    page = _Page(seconds)
    _faults(page, history.faults, seconds)
    _answered(page, history.ops, seconds)
    odd = {id(op) for anomaly in anomalies for op in anomaly.ops}
    drawn = list(chosen(history.ops, odd))
    for process in sorted({op.process for op in drawn}):
        top = page.row("last reads" if process < 0 else f"process {process}")
        for op in drawn:
            if op.process == process:
                style = f"{'odd ' if id(op) in odd else ''}{op.outcome} {'r' if op.is_read else 'w'}"
                page.bar(style, op.invoke, min(op.end, seconds), top + 2, ROW - 4, told(op))
    for number, anomaly in enumerate(anomalies[:200], 1):
        x = page.x(anomaly.at)
        title = f"<title>{escaped(f'{number}. {anomaly.kind} {anomaly.key}: {anomaly.detail}')}</title>"
        page.parts.append(f'<line class="anomaly" x1="{x}" x2="{x}" y1="14" y2="{page.y}">{title}</line>')
    page.parts += _axis(page, seconds)
    left_out = len(history.ops) - len(drawn)
    note = f"{len(drawn):,} of {len(history.ops):,} operations are drawn" if left_out else ""
    page.parts.append(f'<text x="{LEFT}" y="{page.y + 30}" class="note">{note}</text>')
    size = f'viewBox="0 0 {WIDTH} {page.y + 36}" width="{WIDTH}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{"".join(page.parts)}</svg>'


def _faults(page: _Page, faults: Sequence[Fault], seconds: float) -> None:
    for name in sorted({_place(fault) for fault in faults if not fault.impossible}):
        top = page.row(name)
        for fault in faults:
            if _place(fault) == name and not fault.impossible:
                title = f"{fault.kind} {fault.target} {fault.detail}, {fault.begin:.2f} s"
                page.bar(f"fault {fault.kind}", fault.begin, fault.end or seconds, top + 2, ROW - 4, title)


def _place(fault: Fault) -> str:
    return "network" if fault.kind in ("cut", "slow", "flaky") else fault.target


def _answered(page: _Page, ops: Sequence[Op], seconds: float) -> None:
    """Operations answered in each part of the time."""
    counts = [0] * BINS
    for op in ops:
        if op.ok is not None and op.process >= 0:
            counts[min(BINS - 1, int(op.ok / seconds * BINS))] += 1
    height, most = 3 * ROW, max([1, *counts])
    top = page.row(f"≤ {most / (seconds / BINS):,.0f}/s", height)
    for number, count in enumerate(counts):
        if count:
            tall = round((height - 4) * count / most, 1)
            begin, end = number * seconds / BINS, (number + 1) * seconds / BINS
            page.bar("rate", begin, end, top + height - 2 - tall, tall, f"{count} answered")


def chosen(ops: Sequence[Op], odd: set[int]) -> Iterator[Op]:
    """Those that are drawn, in their order: all that are odd, and of each other kind as many as there is room for. Last
    reads that are as they should be are not."""
    plain = [op for op in ops if op.outcome == "ok" and id(op) not in odd and op.process >= 0]
    doubtful = [op for op in ops if op.outcome != "ok" and id(op) not in odd and op.process >= 0]
    kept = {id(op) for part in (plain, doubtful) for op in part[:: 1 + len(part) * 2 // DRAWN_MAX]}
    return (op for op in ops if id(op) in odd or id(op) in kept)


def _axis(page: _Page, seconds: float) -> Iterator[str]:
    step = next(
        step for step in (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 3600) if seconds / step <= TICKS or step == 3600
    )
    for number in range(int(seconds / step) + 1):
        x = page.x(number * step)
        yield f'<line class="tick" x1="{x}" x2="{x}" y1="18" y2="{page.y}"/>'
        yield f'<text x="{x}" y="12" class="tick">{number * step:g} s</text>'


def told(op: Op) -> str:
    """One operation in a line."""
    what = f"{op.op} {op.key}" + (f" = {op.value}" if op.value else "")
    saw = f" saw {', '.join(op.saw[:6])}" if op.saw else ""
    level = f" r/w={op.level}" if op.level else ""
    error = f": {op.error}" if op.error else ""
    end = f"{op.end:.3f}" if op.end < float("inf") else "…"
    return f"{what}{saw} at {op.node}{level}, {op.invoke:.3f}–{end} s, {op.outcome}{error}"


def escaped(text: str) -> str:
    """For text and attributes of markup."""
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(raw, safe)
    return text
