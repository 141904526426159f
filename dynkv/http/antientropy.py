"""/antientropy: how far the replicas agree, and having them compared now.

    GET  /antientropy                  the cluster as all of its nodes tell it together (`core.overview_rows`)
    GET  /antientropy?partition=K      of that, what concerns one partition, with the tree leaves that differ
    GET  /antientropy?scope=node       what this node says of itself, and nobody else is asked
    POST /antientropy/run              compare now: everything, or one partition, or all pairs that one node is in

Where other nodes are asked, that may take a second if one hangs.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec
from msgspec import structs
from multidict import istr

from dynkv.core.errors import BadParameter
from dynkv.core.overview_rows import Overview
from dynkv.core.survey import NodeSurvey
from dynkv.http.paths import parameters
from dynkv.http.reply import Reply, json_reply
from dynkv.http.request import Request
from dynkv.http.routes import no_route, wrong_method
from dynkv.http.view import NodeView

PATH = "/antientropy"
RUN = "/antientropy/run"
ALLOW = {PATH: "GET, HEAD", RUN: "POST"}
FETCH_SITE = istr("Sec-Fetch-Site")  # a browser says whose page asks; it would send a password along for any of them


class AntiEntropyRoutes:
    """The handlers."""

    def __init__(self, view: NodeView) -> None:
        self._view = view

    async def get(self, request: Request) -> Reply:
        path, _, query = request.target.partition("?")
        if path != PATH:
            return elsewhere(request)
        request.refuse_body()
        found = parameters(query, ("partition", "scope"))
        if "scope" in found:
            return self._scoped(found)
        if "partition" not in found:
            return json_reply(200, await self._view.overview())
        ring = self._view.ring()
        partition = _partition(found["partition"], ring)
        return json_reply(200, one_partition(await self._view.overview(), partition, ring["preference"][partition]))

    async def run(self, request: Request) -> Reply:
        path, _, query = request.target.partition("?")
        if path != RUN:
            return elsewhere(request)
        request.refuse_body()
        if request.headers.get(FETCH_SITE, "none") not in ("none", "same-origin"):
            raise BadParameter(str(FETCH_SITE), "a page of another site may not ask for this", "same-origin")
        found = parameters(query, ("partition", "node"))
        node, text = found.get("node"), found.get("partition")
        known = [row["id"] for row in self._view.nodes()["nodes"]]
        if node is not None and node not in known:
            raise BadParameter("node", f"{node[:80]!r} is no member", ", ".join(known))
        partition = None if text is None else _partition(text, self._view.ring())
        return json_reply(200, await self._view.run_antientropy(partition, node))

    def _scoped(self, found: dict[str, str]) -> Reply:
        if found["scope"] != "node":
            raise BadParameter("scope", f"{found['scope'][:40]!r} is none", "node")
        if "partition" in found:
            raise BadParameter("partition", "does not go with scope=node", "either")
        return json_reply(200, survey_members(self._view.survey()))


def elsewhere(request: Request) -> Reply:
    """For a path of this route that is none of these two, or the one of them that does not take the method."""
    path = request.target.partition("?")[0]
    allow = ALLOW.get(path)
    return no_route(path) if allow is None else wrong_method(request.method, path, allow)


def _partition(text: str, ring: Mapping[str, Any]) -> int:
    count = ring["partitions"]
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) < count):
        raise BadParameter("partition", f"{text[:40]!r} is none", f"0..{count - 1}")
    return int(text)


def one_partition(view: Overview, partition: int, preference: list[str]) -> dict[str, Any]:
    """All rows of `view` that are of this partition."""
    return {
        "partition": partition,
        "at_ms": view.at_ms,
        "cycle_s": view.cycle_s,
        "primaries": preference[: view.n],
        "preference": preference,
        **{
            name: [row for row in getattr(view, name) if row.partition == partition]
            for name in ("pairs", "leaves", "running", "log")
        },
    }


def survey_members(survey: NodeSurvey) -> dict[str, Any]:
    """A survey with the names of its members, which it goes without between nodes, and each pair with its reason."""
    members: dict[str, Any] = _named(survey)
    for pair, row in zip(survey.pairs, members["pairs"], strict=True):
        row["why"] = survey.why(pair)
    del members["whys"]
    return members


def _named(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _named(member) for name, member in structs.asdict(value).items()}
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, tuple):
        return [_named(item) for item in value]
    return value
