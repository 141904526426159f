"""The big sentence: how the cluster is, in words that are never better than the truth.

The worlds, the worst first; each is a function that says its sentence or nothing. The first that speaks is the
sentence, the others are said below it. Only if none speaks, and every pair there must be was compared within two cycles
and is in step, do all replicas agree, as of the oldest of those comparisons. Whatever could not be looked at is said to
be unknown, which is a state of its own and never shown as good.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from dynkv.core.overview_estimate import hint_seconds, refill_seconds
from dynkv.core.overview_rows import NodeRow, Rows, State, Verdict
from dynkv.core.phrases import count, duration, names, percent

Said = tuple[State, str]


def verdict(rows: Rows) -> Verdict:
    """The judgement of `rows`."""
    said = [sentence for world in _WORLDS for sentence in world(rows)]
    if said:
        (state, text), *others = said
        return Verdict(state=state, text=text, also=tuple(other for _, other in others))
    if not rows.pairs:
        return Verdict(state="nothing", text="There is one replica of each key: nothing to compare")
    oldest_ms = rows.counts.oldest_ms
    assert oldest_ms is not None
    assert rows.counts.in_step == rows.counts.total
    age = duration((rows.at_ms - oldest_ms) / 1000)
    return Verdict(state="agree", text=f"All replicas agree as of {age} ago", as_of_ms=oldest_ms)


# --- the worlds -------------------------------------------------------------------------------------------------------


def _unformed(rows: Rows) -> Iterator[Said]:
    """A member was never heard of."""
    unheard = [node.id for node in rows.nodes if node.state == "unheard"]
    if unheard:
        yield "unknown", f"The cluster is not formed yet: never heard of {names(unheard)}"


def _alone(rows: Rows) -> Iterator[Said]:
    """The asked node reaches nobody: it cannot know who is down."""
    others = [node for node in rows.nodes if node.id != rows.node]
    if len(others) > 1 and all(node.state in ("down", "suspected") for node in others):
        yield "down", f"{rows.node} reaches none of the others: they are down, or it is cut off"


def _down(rows: Rows) -> Iterator[Said]:
    """Nobody who answers reaches them."""
    others = sum(node.id != rows.node for node in rows.nodes)
    away = [node for node in rows.nodes if node.state == "down" and not _reached(node, rows)]
    if away and not (len(away) == others > 1):
        yield "down", f"{_are(away, 'down')}: {_waiting(away, rows)}"
    lost = [node for node in rows.nodes if node.state == "suspected" and not _reached(node, rows)]
    if lost and not (len(lost) == others > 1):
        yield "down", f"{_are(lost, 'suspected to be down')}: {_waiting(lost, rows)}"


def _silent(rows: Rows) -> Iterator[Said]:
    """They may be well, but did not say so to the asked node."""
    for node in rows.nodes:
        if node.state == "silent":
            yield "unknown", f"unknown: {node.id} did not say how it is: {node.why}"
        elif node.state in ("down", "suspected") and (others := _reached(node, rows)):
            yield "unknown", f"unknown: {rows.node} cannot reach {node.id}, which {names(others)} can"


def _cut(rows: Rows) -> Iterator[Said]:
    """Both answered, and one does not reach the other."""
    for node in rows.nodes:
        if node.state == "up" and node.unreached_by:
            yield "down", f"{names(node.unreached_by)} cannot reach {node.id}"


def _refused(rows: Rows) -> Iterator[Said]:
    """A node answers and takes no client requests."""
    for node in rows.nodes:
        for reason in node.not_ready:
            yield "down", f"{node.id} takes no requests: {reason}"


def _refilled(rows: Rows) -> Iterator[Said]:
    """A node lost data."""
    for node in rows.nodes:
        if node.refill is not None:
            done, total = node.refill["done"], count(node.refill["total"], "partition")
            yield (
                "apart",
                f"{node.id} is being refilled: {done:,} of {total} done{_left(refill_seconds(node, rows.at_ms))}",
            )
        elif node.complete is False:
            yield "apart", f"{node.id} lost data and is not being refilled yet"


def _untrusted(rows: Rows) -> Iterator[Said]:
    """Trees that are not exact."""
    for node in rows.nodes:
        trees = node.trees
        if trees is not None and trees["building"]:
            yield "unknown", f"unknown: trees of {node.id} are being rebuilt, {percent(trees['fraction'])}"
        if trees is not None and trees["unreadable"]:
            reason = f": {trees['why']}" if trees["why"] else ""
            yield "unknown", f"unknown: {count(trees['unreadable'], 'tree')} of {node.id} cannot be read{reason}"


def _damaged(rows: Rows) -> Iterator[Said]:
    """Records that a scrub found unreadable and that no replica has replaced yet."""
    for node in rows.nodes:
        if node.scrub is not None and (left := node.scrub["damaged"] - node.scrub["repaired"]) > 0:
            yield "apart", f"{count(left, 'damaged record')} on {node.id}, to be refilled from the other replicas"


def _apart(rows: Rows) -> Iterator[Said]:
    """Differences that a comparison found."""
    pairs = [pair for pair in rows.pairs if pair.state == "apart"]
    if pairs:
        where = names(sorted({node for pair in pairs for node in (pair.a, pair.b)}))
        what = count(rows.counts.keys_apart, "key") if rows.counts.keys_apart else "keys"
        then = "repairing" if rows.running else f"to be repaired within {duration(rows.cycle_s)}"
        yield "apart", f"{what} apart on {where}; {then}"


def _owed(rows: Rows) -> Iterator[Said]:
    """A node is back, and what it missed is on its way."""
    up = {node.id for node in rows.nodes if node.state == "up"}
    for hint in rows.hints:
        if hint.count and hint.target in up:
            writes = count(hint.count, "write")
            verb = "is" if hint.count == 1 else "are"
            yield "apart", f"{writes} {verb} on the way to {hint.target}{_left(hint_seconds(hint))}"


def _unknown(rows: Rows) -> Iterator[Said]:
    """Pairs that could not be compared, where nothing said so far explains it."""
    explained = {node.id for node in rows.nodes if _explains(node)}
    whys = Counter(
        pair.why for pair in rows.pairs if pair.state == "unknown" and not explained.intersection((pair.a, pair.b))
    )
    for why, number in whys.most_common():
        total = count(rows.counts.total, "pair")
        yield "unknown", f"unknown: {number:,} of {total} of replicas: {why or 'no reason was given'}"


def _never(rows: Rows) -> Iterator[Said]:
    """Pairs not compared since the start of whoever compares them."""
    number = rows.counts.never
    if number:
        yield "unknown", f"unknown: {number:,} of {count(rows.counts.total, 'pair')} of replicas not compared yet"


_WORLDS: tuple[Callable[[Rows], Iterator[Said]], ...] = (
    _unformed,
    _alone,
    _down,
    _silent,
    _cut,
    _refused,
    _refilled,
    _untrusted,
    _damaged,
    _apart,
    _owed,
    _unknown,
    _never,
)


# --- words ------------------------------------------------------------------------------------------------------------


def _explains(node: NodeRow) -> bool:
    """Whether a sentence about this node says why pairs of it are unknown."""
    trees = node.trees
    unexact = trees is not None and (trees["building"] or trees["unreadable"])
    return node.state != "up" or node.complete is False or node.refill is not None or bool(unexact)


def _reached(node: NodeRow, rows: Rows) -> list[str]:
    """Who answered and reaches `node`, which did not answer."""
    return [other.id for other in rows.nodes if other.state == "up" and other.id not in (node.id, *node.unreached_by)]


def _are(nodes: Sequence[NodeRow], how: str) -> str:
    return f"{names([node.id for node in nodes])} {'is' if len(nodes) == 1 else 'are'} {how}"


def _waiting(nodes: Sequence[NodeRow], rows: Rows) -> str:
    """What others keep for them. With several nodes silent, some hints are kept where nobody can count them."""
    owed = sum(node.owed for node in nodes)
    blind = sum(node.state != "up" for node in rows.nodes) > 1
    least = "at least " if blind and owed else ""
    verb = "waits" if owed == 1 else "wait"
    them = "it" if len(nodes) == 1 else "them"
    return f"{least}{count(owed, 'write') if owed else 'no writes'} {verb} for {them}"


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f", about {duration(seconds)} left"
