"""Who may import whom. The table is the architecture; a module that is not in it fails.

    0  ring, antientropy        the standard library's pure part and mmh3; not each other
    1  dynkv.core               layer 0 and msgspec; no clock, no I/O
    2  runtime, config, log, metrics; storage; peer      storage and peer do not know each other
    3  replica, hints, membership
    4  coordinator; repair      do not know each other; inbound answers peers with them
    5  http, client, cli, sim, measures, node            the edges; the client knows only core, ring and runtime

A module imports its own layer and lower ones. Each outside library is known where the second table says and nowhere
else: one module knows RocksDB, one package and the command line know HTTP.
"""

import sys

import pytest

from tests.unit.sources import Source, shipped_sources, within

LAYERS: dict[str, int] = {
    "ring": 0,
    "antientropy": 0,
    "dynkv.core": 1,
    "dynkv.runtime": 2,
    "dynkv.worker": 2,
    "dynkv.config": 2,
    "dynkv.log": 2,
    "dynkv.metrics": 2,
    "dynkv.convergence": 2,
    "dynkv.storage": 2,
    "dynkv.peer": 2,
    "dynkv.replica": 3,
    "dynkv.new_keys": 3,
    "dynkv.hints": 3,
    "dynkv.cache": 3,
    "dynkv.identity": 3,
    "dynkv.listing": 3,
    "dynkv.trees": 3,
    "dynkv.gossip": 3,
    "dynkv.extents": 3,
    "dynkv.membership": 3,
    "dynkv.inbound": 4,
    "dynkv.surveying": 4,
    "dynkv.coordinator": 4,
    "dynkv.repair": 4,
    "dynkv.http": 5,
    "dynkv.client": 5,
    "dynkv.cli": 5,
    "dynkv.sim": 5,
    "dynkv.chaos": 5,
    "dynkv.check": 1,
    "dynkv.measures": 5,
    "dynkv.facts": 5,
    "dynkv.lives": 5,
    "dynkv.marks": 5,
    "dynkv.machine": 5,
    "dynkv.upkeep": 5,
    "dynkv.meter": 5,
    "dynkv.surveyor": 5,
    "dynkv.serving": 5,
    "dynkv.node": 5,
    "dynkv.__main__": 5,
    "dynkv": 5,
}

# Same layer or lower, and still not allowed: (who, whom).
APART = (
    ("ring", "antientropy"),
    ("antientropy", "ring"),
    ("dynkv.storage", "dynkv.peer"),
    ("dynkv.peer", "dynkv.storage"),
    ("dynkv.coordinator", "dynkv.repair"),
    ("dynkv.repair", "dynkv.coordinator"),
    ("dynkv.core", "dynkv.check"),
    ("dynkv.http", "dynkv.cli"),
    ("dynkv.http", "dynkv.node"),
    ("dynkv.http", "dynkv.client"),
    ("dynkv.node", "dynkv.cli"),
    ("dynkv.node", "dynkv.client"),
)

# Importing the client, or the bare package, loads no server code. The client finds a key's primaries with the ring's
# tokens, and takes clock, chance and tasks from where everybody takes them: the runtime, which knows nothing of a node.
ONLY = {
    "dynkv.client": ("dynkv.client", "dynkv.core", "dynkv.runtime", "ring"),
    "dynkv": ("dynkv.client", "dynkv.core"),
}

OUTSIDE: dict[str, tuple[str, ...]] = {
    "mmh3": ("ring", "antientropy"),
    "msgspec": ("dynkv",),
    "structlog": tuple(name for name, layer in LAYERS.items() if layer >= 2 and name != "dynkv"),
    "rocksdict": ("dynkv.storage.rocks",),
    "prometheus_client": ("dynkv.metrics",),
    "uvloop": ("dynkv.cli",),
    "aiohttp": ("dynkv.http", "dynkv.client", "dynkv.cli"),
    "yarl": ("dynkv.http", "dynkv.client", "dynkv.cli"),
    "multidict": ("dynkv.http", "dynkv.client"),
    "cbor2": ("dynkv.http", "dynkv.client"),
    "typer": ("dynkv.cli",),
    "rich": ("dynkv.cli",),
}

# The standard library's part that neither waits nor touches the world: all that layers 0 and 1 may use.
PURE = frozenset(
    "__future__ abc array base64 binascii bisect collections dataclasses enum fractions functools hashlib heapq hmac "
    "itertools math operator re statistics string struct types typing zlib".split()
)
PURE_LAYER_MAX = 1


def layer_of(module: str) -> tuple[str, int] | None:
    """The table's longest entry that holds `module`; the root package holds only itself."""
    entries = [name for name in LAYERS if (module == name if name == "dynkv" else within(module, name))]
    if not entries:
        return None
    name = max(entries, key=len)
    return name, LAYERS[name]


def faults(source: Source) -> list[str]:
    """What is wrong with a file's imports, one line each."""
    ours = layer_of(source.name)
    if ours is None:
        return [f"{source.name}: has no layer; give it one in the table"]
    found = []
    for module, line in source.imports():
        why = _fault(source.name, *ours, module)
        if why:
            found.append(f"{source.name}:{line}: imports {module}: {why}")
    return found


def _fault(importer: str, package: str, layer: int, module: str) -> str:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return f"layer {layer} is pure" if layer <= PURE_LAYER_MAX and top not in PURE else ""
    theirs = layer_of(module)
    if theirs is None:
        if top in ("dynkv", "ring", "antientropy"):
            return "has no layer"
        homes = OUTSIDE.get(top)
        if homes is None:
            return "not a library of this project"
        return "" if any(within(importer, home) for home in homes) else f"only {', '.join(homes)} may know it"
    if theirs[1] > layer:
        return f"layer {layer} must not know layer {theirs[1]}"
    if package in ONLY and not any(within(module, allowed) for allowed in ONLY[package]):
        return f"{package} may know only {', '.join(ONLY[package])}"
    if any(within(importer, who) and within(module, whom) for who, whom in APART):
        return "these two are kept apart"
    return ""


def test_every_import_obeys_the_table() -> None:
    found = [fault for source in shipped_sources() for fault in faults(source)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("ring.placement", "import asyncio", "pure"),
        ("ring.placement", "from antientropy.tree import Tree", "apart"),
        ("antientropy.tree", "def f():\n    import socket", "pure"),
        ("antientropy.tree", "import msgspec", "only dynkv"),
        ("ring.tokens", "from dynkv.core import errors", "layer 0 must not know layer 1"),
        ("dynkv.core.hlc", "import time", "pure"),
        ("dynkv.core.record", "from dynkv.storage.base import Store", "layer 1 must not know layer 2"),
        ("dynkv.storage.memory", "import rocksdict", "only dynkv.storage.rocks"),
        ("dynkv.storage.rocks", "from dynkv.peer.messages import Put", "apart"),
        ("dynkv.replica", "from dynkv.coordinator import put", "layer 3 must not know layer 4"),
        ("dynkv.repair.hints", "from dynkv.coordinator.put import Put", "apart"),
        ("dynkv.coordinator.get", "from aiohttp import web", "only dynkv.http"),
        ("dynkv.client.pool", "from dynkv.peer.wire import decode", "may know only"),
        ("dynkv.client.pool", "from dynkv.config import Config", "may know only"),
        ("dynkv", "from dynkv.node import Node", "may know only"),
        ("dynkv.http.kv", "import requests", "not a library"),
        ("dynkv.helpers", "", "no layer"),
    ],
)
def test_the_rules_bite(name: str, text: str, why: str) -> None:
    assert any(why in fault for fault in faults(Source(name, text))), f"nothing found in {name}: {text}"


def test_what_is_allowed_passes() -> None:
    for name, text in (
        ("ring.tokens", "import mmh3\nimport struct"),
        ("dynkv.core.record", "import msgspec\nfrom ring.tokens import token"),
        ("dynkv.storage.rocks", "import rocksdict\nimport asyncio\nfrom dynkv.core.errors import StoreError"),
        ("dynkv.coordinator.get", "from dynkv.replica import Replica\nfrom dynkv.coordinator.plan import Plan"),
        ("dynkv.client.pool", "import aiohttp\nfrom dynkv.core import errors\nfrom dynkv.runtime import Clock"),
    ):
        assert faults(Source(name, text)) == []
