"""A tree after any history equals a tree built afresh, and both equal one computed by the book."""

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antientropy import DUMP_BYTES, FANOUT, LEAVES, HashTree, pack_nodes, unpack_nodes

TOP = 2**64 - 1
NAMES = st.sampled_from([0, 1, 31, 32, 1023, 1024, 2**63, TOP]) | st.integers(0, TOP)
DIGESTS = st.sampled_from([b"", b"d", b"\0"]) | st.binary(min_size=16, max_size=16)
SEEDS = st.sampled_from([0, 1, 0xFFFFFFFF])
RECORDS = st.dictionaries(NAMES, DIGESTS)
LOOK, SET, CLEAR, RELOAD = "look", "set", "clear", "reload"


def _fresh(seed: int, records: dict[int, bytes]) -> HashTree:
    tree = HashTree(seed)
    for name, digest in records.items():
        tree.update(name, None, digest)
    return tree


def _nodes(tree: HashTree) -> tuple[int, list[int], list[list[int]]]:
    return tree.root, list(tree.inner()), [list(tree.leaves(node)) for node in range(FANOUT)]


def _by_the_book(seed: int, records: dict[int, bytes]) -> tuple[int, list[int], list[list[int]]]:
    """The oracle: everything from the definition, nothing kept, nothing incremental."""

    def node(children: list[int]) -> int:
        packed = b"".join(child.to_bytes(8, "little") for child in children)
        return mmh3.hash64(packed, seed, signed=False)[0] if any(children) else 0

    leaves = [0] * LEAVES
    for name, digest in records.items():
        entry = mmh3.hash64(name.to_bytes(8, "little") + digest, seed, signed=False)[0]
        leaves[name % LEAVES] = (leaves[name % LEAVES] + entry) % 2**64
    rows = [leaves[start : start + FANOUT] for start in range(0, LEAVES, FANOUT)]
    inner = [node(row) for row in rows]
    return node(inner), inner, rows


@given(
    SEEDS, st.lists(st.tuples(st.sampled_from([LOOK, CLEAR, RELOAD, SET, SET, SET, SET]), NAMES, st.none() | DIGESTS))
)
def test_any_history_gives_the_tree_of_its_last_state(seed: int, history: list[tuple[str, int, bytes | None]]) -> None:
    """Looks in between make nodes that later changes must make stale."""
    tree, records = HashTree(seed), dict[int, bytes]()
    for action, name, digest in history:
        if action == LOOK:
            root, inner, _ = _by_the_book(seed, records)
            assert (tree.root, list(tree.inner())) == (root, inner)
        elif action == CLEAR:
            tree.clear()
            records.clear()
        elif action == RELOAD:
            tree = HashTree.load(seed, tree.dump())
        else:
            tree.update(name, records.pop(name, None), digest)
            if digest is not None:
                records[name] = digest

    assert _nodes(tree) == _by_the_book(seed, records)
    assert _nodes(tree) == _nodes(_fresh(seed, records))


@given(SEEDS, RECORDS.filter(bool), st.data())
def test_one_changed_record_shows_in_one_leaf_its_inner_node_and_the_root(
    seed: int, records: dict[int, bytes], data: st.DataObject
) -> None:
    ours, theirs = _fresh(seed, records), _fresh(seed, records)
    name = data.draw(st.sampled_from(sorted(records)))
    theirs.update(name, records[name], records[name] + b"!")

    leaf = ours.leaf_of(name)
    assert ours.root != theirs.root
    assert [node for node in range(FANOUT) if ours.inner()[node] != theirs.inner()[node]] == [leaf // FANOUT]
    pairs = zip(ours.leaves(leaf // FANOUT), theirs.leaves(leaf // FANOUT), strict=True)
    assert [child for child, (our, their) in enumerate(pairs) if our != their] == [leaf % FANOUT]
    assert ours.differing(theirs) == theirs.differing(ours) == (leaf,)


@given(RECORDS)
def test_a_tree_emptied_again_is_an_empty_tree(records: dict[int, bytes]) -> None:
    tree = _fresh(7, records)
    assert (tree.root != 0) == bool(records)
    for name, digest in records.items():
        tree.update(name, digest, None)
    assert _nodes(tree) == _nodes(HashTree(7))
    assert tree.root == 0


def test_two_keys_of_one_name_are_two_records() -> None:
    both, one = _fresh(1, {5: b"a"}), _fresh(1, {5: b"b"})
    both.update(5, None, b"b")
    assert both.root != one.root
    both.update(5, b"a", None)
    assert _nodes(both) == _nodes(one)


@given(SEEDS, RECORDS)
def test_a_dump_is_the_leaves_little_endian_and_loads_as_the_same_tree(seed: int, records: dict[int, bytes]) -> None:
    tree = _fresh(seed, records)
    data = tree.dump()
    _, _, rows = _by_the_book(seed, records)
    assert data == b"".join(leaf.to_bytes(8, "little") for row in rows for leaf in row)
    loaded = HashTree.load(seed, data)
    assert loaded.differing(tree) == ()
    assert _nodes(loaded) == _nodes(tree)


@pytest.mark.parametrize("length", [0, DUMP_BYTES - 8, DUMP_BYTES - 1, DUMP_BYTES + 8])
def test_a_dump_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="8192 bytes"):
        HashTree.load(1, bytes(length))


@given(st.lists(st.integers(0, TOP)))
def test_nodes_travel_as_eight_bytes_each(nodes: list[int]) -> None:
    data = pack_nodes(nodes)
    assert data == b"".join(node.to_bytes(8, "little") for node in nodes)
    assert unpack_nodes(data) == tuple(nodes)


@pytest.mark.parametrize("length", [1, 7, 9])
def test_bytes_that_are_no_nodes_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        unpack_nodes(bytes(length))


def test_another_seed_is_another_tree() -> None:
    assert _fresh(1, {9: b"d"}).root != _fresh(2, {9: b"d"}).root


@pytest.mark.parametrize("node", [-1, FANOUT])
def test_an_inner_node_that_is_not_there_is_an_index_error(node: int) -> None:
    with pytest.raises(IndexError, match="inner node"):
        HashTree(0).leaves(node)
