"""The one place where r, w, pr, pw, timeout and sloppy become numbers.

A request says a number 1..n or one of the words `one`, `quorum`, `all`; what it leaves out comes from its bucket, and
pr = pw = 0 (no primary demanded beyond r and w). What cannot be met by any cluster state is refused here, before
anybody is asked.
"""

from collections.abc import Mapping
from typing import NamedTuple

from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import BadParameter

TIMEOUT_MS_DEFAULT = 5_000
TIMEOUT_MS_MAX = 60_000
NAMES = ("r", "pr", "w", "pw", "timeout", "sloppy")


class Levels(NamedTuple):
    """A request's quorum parameters as numbers. timeout_ms: from arrival to answer. sloppy: fallbacks count to r, w."""

    n: int
    r: int
    pr: int
    w: int
    pw: int
    timeout_ms: int
    sloppy: bool


def defaults(bucket: BucketSettings) -> Levels:
    """The levels of a request that says nothing."""
    return Levels(bucket.n, bucket.r, 0, bucket.w, 0, TIMEOUT_MS_DEFAULT, True)


def resolve(bucket: BucketSettings, parameters: Mapping[str, str]) -> Levels:
    """The levels of a request with these query `parameters` (others than `NAMES` are the caller's to refuse).

    BadParameter if one is no number, out of range, or impossible beside another.
    """
    if not parameters:
        return defaults(bucket)
    n = bucket.n
    r = _count(parameters, "r", n, bucket.r)
    pr = _count(parameters, "pr", n, 0)
    w = _count(parameters, "w", n, bucket.w)
    pw = _count(parameters, "pw", n, 0)
    # A level left out rises with its primary form: pr=3 alone means r=3. Said together they must agree.
    if pr > r:
        if "r" in parameters:
            raise BadParameter("pr", f"is {pr} but r is {r}: more primaries than answers cannot be met", f"0..{r}")
        r = pr
    if pw > w:
        if "w" in parameters:
            raise BadParameter("pw", f"is {pw} but w is {w}: more primaries than answers cannot be met", f"0..{w}")
        w = pw
    timeout_ms = _timeout(parameters.get("timeout"))
    sloppy = _flag(parameters.get("sloppy"))
    return Levels(n, r, pr, w, pw, timeout_ms, sloppy)


def _count(parameters: Mapping[str, str], name: str, n: int, default: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    word = {"one": 1, "quorum": n // 2 + 1, "all": n}.get(text)
    if word is not None:
        return word
    limit = f"1..{n}, one, quorum or all"
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadParameter(name, f"{text[:40]!r} is not a level", limit)
    value = int(text)
    if not 1 <= value <= n:
        raise BadParameter(name, f"is {value}; this bucket has n={n}", limit)
    return value


def _timeout(text: str | None) -> int:
    if text is None:
        return TIMEOUT_MS_DEFAULT
    limit = f"1..{TIMEOUT_MS_MAX} ms"
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadParameter("timeout", f"{text[:40]!r} is not a whole number of milliseconds", limit)
    value = int(text)
    if not 1 <= value <= TIMEOUT_MS_MAX:
        raise BadParameter("timeout", f"is {value} ms", limit)
    return value


def _flag(text: str | None) -> bool:
    if text is None or text == "true":
        return True
    if text == "false":
        return False
    raise BadParameter("sloppy", f"{text[:40]!r} is neither true nor false", "true or false")
