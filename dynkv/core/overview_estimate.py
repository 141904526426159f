"""How long until all replicas agree, if nothing else happens.

What is left runs side by side, so the estimate is the longest of: paying each node's hints at their present rate;
refilling each node that lost data at its pace so far; repairing the keys known to differ; the exchanges under way, and
the next comparison of the other pairs that are not known to be in step, which comes within a cycle. What cannot be said
(a node is away, a rate is zero) is not guessed: the answer is None and why.
"""

from collections.abc import Iterator

from dynkv.core.overview_rows import Estimate, HintRow, NodeRow, Rows
from dynkv.core.phrases import names


def estimate(rows: Rows) -> Estimate:
    """For the whole cluster."""
    blocked = next(_blocks(rows), "")
    if blocked:
        return Estimate(seconds=None, why=blocked)
    seconds = max(_waits(rows), default=0.0)
    return Estimate(seconds=round(seconds, 1))


def hint_seconds(hint: HintRow) -> float | None:
    """Until the target has all that it is owed: its slowest payer. None while somebody who owes pays nothing."""
    times = []
    for holder in hint.holders:
        if holder.count:
            if holder.paid_per_s <= 0:
                return None
            times.append(holder.count / holder.paid_per_s)
    return max(times, default=0.0)


def refill_seconds(node: NodeRow, now_ms: int) -> float | None:
    """Until a node that lost data has it back, at its pace so far. None before the first partition is done."""
    refill = node.refill
    if refill is None:
        return 0.0
    done, total = refill["done"], refill["total"]
    if done >= total:
        return 0.0
    return _at_its_pace(done, total, now_ms - refill["began_ms"]) if done else None


def _blocks(rows: Rows) -> Iterator[str]:
    """Why there is no estimate."""
    away = [node.id for node in rows.nodes if node.state != "up"]
    if away:
        yield f"{names(away)} {'does' if len(away) == 1 else 'do'} not answer"
    for node in rows.nodes:
        if refill_seconds(node, rows.at_ms) is None:
            yield f"the refilling of {node.id} has only begun"
        elif node.complete is False and node.refill is None:
            yield f"{node.id} lost data and is not being refilled yet"
        if node.trees is not None and node.trees["building"]:
            yield f"trees of {node.id} are being rebuilt"
        if node.trees is not None and node.trees["unreadable"]:
            yield f"trees of {node.id} cannot be read"
    for hint in rows.hints:
        if hint_seconds(hint) is None:
            yield f"hints for {hint.target} are not being paid"
    if rows.counts.in_step < rows.counts.total and rows.cycle_s <= 0:
        yield "nothing is compared by itself: the cycle is switched off"


def _waits(rows: Rows) -> Iterator[float]:
    """What has to be waited for, in seconds."""
    for hint in rows.hints:
        yield hint_seconds(hint) or 0.0
    for node in rows.nodes:
        yield refill_seconds(node, rows.at_ms) or 0.0
    rate = sum(node.totals["repaired_per_s"] for node in rows.nodes if node.totals is not None)
    if rows.counts.keys_apart and rate > 0:
        yield rows.counts.keys_apart / rate
    running = {(one.partition, one.n, frozenset((one.by, one.peer))): one for one in rows.running}
    refilled = {node.id for node in rows.nodes if node.refill is not None}
    for pair in rows.pairs:
        # The refill of a node compares its pairs itself, and was counted above.
        if pair.state != "in_step" and not refilled.intersection((pair.a, pair.b)):
            exchange = running.get((pair.partition, pair.n, frozenset((pair.a, pair.b))))
            if exchange is not None and 0 < exchange.done <= exchange.total:
                yield _at_its_pace(exchange.done, exchange.total, rows.at_ms - exchange.began_ms)
                continue
            age_s = rows.cycle_s if pair.compared_ms is None else (rows.at_ms - pair.compared_ms) / 1000
            # One that is overdue may take another whole cycle.
            yield rows.cycle_s - age_s if 0 <= age_s < rows.cycle_s else rows.cycle_s


def _at_its_pace(done: int, total: int, spent_ms: int) -> float:
    """Seconds for the rest of something that took so long up to here."""
    return max(0, spent_ms) / 1000 / done * (total - done)
