"""The published vectors still hold: a change of them is a change of where every key lies."""

import json
from pathlib import Path

import pytest

import ring
from ring import Member, Placement, partition_of, token
from tests.unit.ring_vectors import as_json

PUBLISHED = Path(ring.__file__).with_name("vectors.json").read_text(encoding="ascii")
VECTORS = json.loads(PUBLISHED)


@pytest.mark.parametrize("vector", VECTORS["tokens"], ids=lambda vector: f"{vector['bucket']}/{vector['key'][:16]}")
def test_tokens(vector: dict[str, object]) -> None:
    found = token(str(vector["bucket"]), bytes.fromhex(str(vector["key"])))
    assert f"{found:016x}" == vector["token"]
    partitions = vector["partitions"]
    assert isinstance(partitions, dict)
    assert {count: partition_of(found, int(count)) for count in partitions} == partitions


@pytest.mark.parametrize("vector", VECTORS["placements"], ids=lambda vector: str(vector["name"]))
def test_preference_lists(vector: dict[str, object]) -> None:
    members, partitions, n = vector["members"], vector["partitions"], vector["n"]
    assert isinstance(members, list)
    assert isinstance(partitions, int)
    assert isinstance(n, int)
    placement = Placement([Member(**member) for member in reversed(members)], partitions, n)
    assert [" ".join(placement.preference(p)) for p in range(partitions)] == vector["preference"]
    assert {member_id: str(share) for member_id, share in placement.shares.items()} == vector["shares"]


def test_the_file_is_what_the_command_writes() -> None:
    assert as_json() == PUBLISHED
