"""A tree after any history equals a tree built afresh, and both equal one computed by the book."""

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antientropy import FANOUT, LEAVES, HashTree

KEYS = st.sampled_from([b"", b"a", b"b", b"ab", b"1:a"]) | st.binary(max_size=8)
DIGESTS = st.none() | st.sampled_from([b"", b"d", b"bd"]) | st.binary(min_size=16, max_size=16)
SEEDS = st.sampled_from([0, 1, 0xFFFFFFFF])
LOOK, SET = "look", "set"


def _fresh(seed: int, records: dict[bytes, bytes]) -> HashTree:
    tree = HashTree(seed)
    for key, digest in records.items():
        tree.update(key, None, digest)
    return tree


def _nodes(tree: HashTree) -> tuple[object, ...]:
    return tree.root, tree.inner(), [tree.leaves(node) for node in range(FANOUT)]


def _by_the_book(seed: int, records: dict[bytes, bytes]) -> tuple[int, list[int], list[list[int]]]:
    """The oracle: everything from the definition, nothing kept, nothing incremental. Leaves are found by asking."""

    def node(children: list[int]) -> int:
        packed = b"".join(child.to_bytes(8, "little") for child in children)
        return mmh3.hash64(packed, seed, signed=False)[0] if any(children) else 0

    place = HashTree(seed).leaf_of
    leaves = [0] * LEAVES
    for key, digest in records.items():
        entry = str(len(key)).encode() + b":" + key + digest
        leaves[place(key)] = (leaves[place(key)] + mmh3.hash64(entry, seed, signed=False)[0]) % 2**64
    rows = [leaves[start : start + FANOUT] for start in range(0, LEAVES, FANOUT)]
    inner = [node(row) for row in rows]
    return node(inner), inner, rows


@given(SEEDS, st.lists(st.tuples(st.sampled_from([LOOK, SET, SET, SET]), KEYS, DIGESTS)))
def test_any_history_gives_the_tree_of_its_last_state(
    seed: int, history: list[tuple[str, bytes, bytes | None]]
) -> None:
    """Looks in between make nodes that later updates must make stale."""
    tree, records = HashTree(seed), dict[bytes, bytes]()
    for action, key, digest in history:
        if action == LOOK:
            root, inner, _ = _by_the_book(seed, records)
            assert (tree.root, list(tree.inner())) == (root, inner)
            continue
        tree.update(key, records.pop(key, None), digest)
        if digest is not None:
            records[key] = digest

    assert _nodes(tree) == _nodes(_fresh(seed, records))
    root, inner, rows = _by_the_book(seed, records)
    assert (tree.root, list(tree.inner())) == (root, inner)
    assert [list(tree.leaves(node)) for node in range(FANOUT)] == rows


@given(SEEDS, st.dictionaries(KEYS, st.binary(max_size=8), min_size=1), st.data())
def test_one_changed_record_shows_in_one_leaf_its_inner_node_and_the_root(
    seed: int, records: dict[bytes, bytes], data: st.DataObject
) -> None:
    ours, theirs = _fresh(seed, records), _fresh(seed, records)
    key = data.draw(st.sampled_from(sorted(records)))
    theirs.update(key, records[key], records[key] + b"!")

    assert ours.root != theirs.root
    differing = [node for node in range(FANOUT) if ours.inner()[node] != theirs.inner()[node]]
    assert differing == [ours.leaf_of(key) // FANOUT]
    pairs = zip(ours.leaves(differing[0]), theirs.leaves(differing[0]), strict=True)
    assert [leaf for leaf, (our, their) in enumerate(pairs) if our != their] == [ours.leaf_of(key) % FANOUT]


@given(st.dictionaries(KEYS, st.binary(max_size=8), min_size=1))
def test_a_tree_emptied_again_is_an_empty_tree(records: dict[bytes, bytes]) -> None:
    tree = _fresh(7, records)
    assert tree.root != 0
    for key, digest in records.items():
        tree.update(key, digest, None)
    assert _nodes(tree) == _nodes(HashTree(7))
    assert tree.root == 0


def test_keys_spread_over_all_leaves() -> None:
    tree = HashTree(1)
    assert {tree.leaf_of(b"user:%d" % number) for number in range(20_000)} == set(range(LEAVES))


def test_another_seed_is_another_tree() -> None:
    records = {b"k": b"d"}
    assert _fresh(1, records).root != _fresh(2, records).root


@pytest.mark.parametrize("node", [-1, FANOUT])
def test_an_inner_node_that_is_not_there_is_an_index_error(node: int) -> None:
    with pytest.raises(IndexError, match="inner node"):
        HashTree(0).leaves(node)
