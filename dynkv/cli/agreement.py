"""How far the replicas agree, as a node tells it over HTTP."""

from typing import Any
from urllib.parse import quote

import msgspec

from dynkv.cli.call import Answer, call
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.key_request import refusal
from dynkv.core.overview_rows import Overview

TIMEOUT_S = 10.0


def look(url: str, partition: int | None = None) -> dict[str, Any]:
    """The overview, or what concerns one partition, as JSON. Failure."""
    query = "" if partition is None else f"?partition={partition}"
    return _object(call(url, "GET", f"/antientropy{query}", timeout_s=TIMEOUT_S))


def overview(told: dict[str, Any]) -> Overview:
    """The overview in what `look` returned. Failure if it is none."""
    try:
        return msgspec.convert(told, Overview)
    except msgspec.ValidationError as error:
        raise Failure(Exit.UNREACHABLE, f"this is not dynkv, or of another version: {error}") from error


def is_good(view: Overview) -> bool:
    """Whether everything was checked and is equal; also where there is nothing to compare."""
    return view.verdict.state in ("agree", "nothing")


def run(url: str, partition: int | None, node: str | None) -> dict[str, int | None]:
    """Have pairs compared now; how many each node has begun, None if it did not answer. Failure."""
    given = {"partition": partition, "node": node}
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in given.items() if value is not None)
    target = f"/antientropy/run{'?' if query else ''}{query}"
    try:
        return msgspec.convert(_object(call(url, "POST", target, body=b"", timeout_s=TIMEOUT_S)), dict[str, int | None])
    except msgspec.ValidationError as error:
        raise Failure(Exit.UNREACHABLE, f"this is not dynkv, or of another version: {error}") from error


def _object(answer: Answer) -> dict[str, Any]:
    if answer.status != 200:
        raise refusal(answer)
    value = answer.json()
    if not isinstance(value, dict):
        raise Failure(Exit.UNREACHABLE, "this is not dynkv: no JSON object came")
    return value
