"""A cluster as all of its nodes tell it together."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dynkv.cli.call import Answer, call
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure

TIMEOUT_S = 2.0

# Our name of a figure, its name in /metrics, and what turns one into the other.
_RATES = {"reads_per_s": "dynkv_reads_total", "writes_per_s": "dynkv_writes_total"}
_GAUGES = {
    "memory_bytes": ("dynkv_resident_memory_bytes", 1.0),
    "stall_p999_ms": ("dynkv_loop_stall_p999_seconds", 1000.0),
}


def look(url: str, interval_s: float) -> dict[str, Any]:
    """Ask the node at `url` for the others, then each of them.

    {"healthy", "asked", "nodes": [{"id", "http", "state", "suspected_by", "hints_owed": {"count", "bytes",
    "oldest_age_s"}, "not_ready", "load": {...} or None, "seen": what the asked node says of it}]}. `state` is "up"
    or "no answer".
    """
    first = _json(call(url, "GET", "/nodes", timeout_s=TIMEOUT_S))
    urls = {node["id"]: _url(node["http"]) for node in first["nodes"] if node["http"]}
    urls[first["node"]] = url
    with ThreadPoolExecutor(max_workers=max(4, len(urls))) as pool:
        told = dict(zip(urls, pool.map(lambda one: _ask(one, interval_s), urls.values()), strict=True))
    nodes = [_node(node, told) for node in first["nodes"]]
    return {"healthy": all(_is_healthy(node) for node in nodes), "asked": first["node"], "nodes": nodes}


def _ask(url: str, interval_s: float) -> dict[str, Any] | None:
    """What one node tells; None if it does not answer."""
    try:
        nodes = _json(call(url, "GET", "/nodes", timeout_s=TIMEOUT_S))
        hints = _json(call(url, "GET", "/hints", timeout_s=TIMEOUT_S))
        ready = call(url, "GET", "/health/ready", timeout_s=TIMEOUT_S)
        before, began = _metrics(url), time.monotonic()
        time.sleep(interval_s)
        after, seconds = _metrics(url), time.monotonic() - began
    except Failure:
        return None
    load = {name: round((after.get(key, 0) - before.get(key, 0)) / seconds, 1) for name, key in _RATES.items()}
    load |= {name: round(after.get(key, 0) * factor, 3) for name, (key, factor) in _GAUGES.items()}
    return {"nodes": nodes["nodes"], "hints": hints["targets"], "not_ready": _reasons(ready), "load": load}


def _node(seen: dict[str, Any], told: dict[str, dict[str, Any] | None]) -> dict[str, Any]:
    """One node: what it tells of itself, and what the others say of it."""
    name = seen["id"]
    itself = told.get(name)
    others = {other: said for other, said in told.items() if said is not None and other != name}
    suspected_by = [
        other
        for other, said in others.items()
        if any(node["id"] == name and node["state"] != "up" for node in said["nodes"])
    ]
    owed = [said["hints"][name] for said in others.values() if name in said["hints"]]
    return {
        "id": name,
        "http": seen["http"],
        "state": "up" if itself else "no answer",
        "suspected_by": suspected_by,
        "hints_owed": {
            "count": sum(hint["count"] for hint in owed),
            "bytes": sum(hint["bytes"] for hint in owed),
            "oldest_age_s": max((hint["oldest_age_s"] or 0.0 for hint in owed), default=0.0),
        },
        "not_ready": itself["not_ready"] if itself else [],
        "load": itself["load"] if itself else None,
        "seen": seen,
    }


def _is_healthy(node: dict[str, Any]) -> bool:
    return node["state"] == "up" and not node["suspected_by"] and not node["not_ready"]


def _url(address: str) -> str:
    return address if "//" in address else f"http://{address}"


def _json(answer: Answer) -> dict[str, Any]:
    value = answer.json()
    if answer.status != 200 or not isinstance(value, dict):
        raise Failure(Exit.UNREACHABLE, f"this is not dynkv: status {answer.status}")
    return value


def _reasons(ready: Answer) -> list[str]:
    """Why a node is not ready; empty if it is."""
    if ready.status == 200:
        return []
    value = ready.json()
    reasons = value.get("reasons") if isinstance(value, dict) else None
    return [str(reason) for reason in reasons] if reasons else [f"status {ready.status}"]


def _metrics(url: str) -> dict[str, float]:
    """The metrics without labels."""
    answer = call(url, "GET", "/metrics", timeout_s=TIMEOUT_S)
    lines = [line.split(" ") for line in answer.body.decode(errors="replace").splitlines() if line[:1] != "#"]
    return {line[0]: float(line[1]) for line in lines if len(line) >= 2 and "{" not in line[0]}
