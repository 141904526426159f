"""A set: each element is a key of its own, added once, removed at most once, by who has seen it.

It is the register's question with fewer answers, so the decisions are the register's; here they get the set's words,
and what a set alone can have: an element added twice, or removed by who had not seen it, is no history of ours.

    lost element        added and acknowledged, never removed, and not there
    removed is back     removed and acknowledged, and there
"""

from dynkv.check import register_checker
from dynkv.check.history import Anomaly, History

_WORDS = {"lost": "lost element", "back": "removed is back", "written twice": "added twice"}


def check(history: History) -> list[Anomaly]:
    """All that is wrong, ordered by element."""
    found = []
    for anomaly in register_checker.check(history):
        kind = _WORDS.get(anomaly.kind, anomaly.kind)
        found.append(Anomaly(kind, anomaly.key, anomaly.detail, anomaly.at, anomaly.ops))
    return found
