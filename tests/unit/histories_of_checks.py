"""Histories in a few words: what the tests of the checkers are written in.

    of("register", "a = 1", "b reads 1", "b = 2 over 1")

Each word list is one operation, one after another, each a second long, unless it says `@ BEGIN-END`. `?` in front: in
doubt; `!`: not done. Processes are letters, keys are `k` unless it says `in KEY`. The last reads are `final NODE LEVEL
VALUES`; a history without any gets the same at two nodes, as `ends` says.
"""

from collections.abc import Sequence

import msgspec

from dynkv.check.history import Fault, Head, History, Op

NODES = ("n1", "n2")


def of(workload: str, *words: str, ends: Sequence[str] | None = None, **head: object) -> History:
    ops = [_op(line.split(), float(number)) for number, line in enumerate(words)]
    time = float(len(words)) + 1
    if ends is not None:
        ops += [
            Op(-1, "final", "k", time, ok=time + 0.5, node=node, level=level, saw=tuple(ends))
            for node in NODES
            for level in ("1", "all")
        ]
    fields: dict[str, object] = {"strict": workload != "session", "seconds": len(words) / 2} | head
    made = msgspec.structs.replace(Head(workload, "1", NODES, (), 0.0), **fields)
    return History(made, sorted(ops, key=lambda op: op.end), [])


def _op(words: list[str], at: float) -> Op:
    begin, end = at, at + 0.9
    if "@" in words:
        begin, end = (float(part) for part in words[words.index("@") + 1].split("-"))
        words = words[: words.index("@")]
    key = "k"
    if "in" in words:
        key = words[words.index("in") + 1]
        words = words[: words.index("in")]
    how = {"?": "info", "!": "fail"}.get(words[0][0], "ok")
    who, what, *rest = [words[0].lstrip("?!"), *words[1:]]
    saw: tuple[str, ...] = ()
    if who == "final":
        node, level = what, rest[0]
        return Op(-1, "final", key, begin, ok=end, node=node, level=level, saw=tuple(rest[1:]))
    value = ""
    if "over" in rest:
        saw = tuple(rest[rest.index("over") + 1 :])
        rest = rest[: rest.index("over")]
    op = {"=": "write", "adds": "add", "reads": "read", "deletes": "delete", "removes": "remove", "+=": "increment"}[
        what
    ]
    if op in ("read", "delete", "remove"):
        saw = tuple(rest)
    else:
        value = rest[0]
    return Op(ord(who) - ord("a"), op, key, begin, node="n1", value=value, saw=saw, **{how: end})  # type: ignore[arg-type]  # ok, fail or info


def fault(kind: str, target: str = "n1", impossible: str = "") -> Fault:
    return Fault(kind, target, 1.0, None if impossible else 2.0, impossible=impossible)
