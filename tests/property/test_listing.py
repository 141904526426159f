"""Listings against dumb oracles: pages merged key by key, and a whole listing against reading every key."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dynkv.coordinator import scan as scan_module
from dynkv.coordinator.page import Merged, merged
from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import ServiceError
from dynkv.core.record import shows_nothing
from dynkv.peer.many_messages import Records
from tests.unit.cluster_in_memory import Cluster, run
from tests.unit.listings import all_of, scan

# --- merging, against an oracle that looks at one key after the other -------------------------------------------------

ALPHABET = [bytes((one, two)) for one in b"abc" for two in b"abcd"]
HELD = st.dictionaries(st.sampled_from(ALPHABET), st.booleans())


def page_of(held: dict[bytes, bool], limit: int) -> Records:
    keys = sorted(held)
    until = keys[limit - 1] if limit < len(keys) else b""
    keys = keys[:limit]
    return Records(tuple(keys), tuple(n for n, key in enumerate(keys) if held[key]), until, True)


@given(st.lists(st.tuples(HELD, st.integers(1, 14)), min_size=1, max_size=4))
@settings(max_examples=500)
def test_merging_pages_says_of_each_key_what_the_replicas_say(replicas: list[tuple[dict[bytes, bool], int]]) -> None:
    pages = [page_of(held, limit) for held, limit in replicas]
    ends = [page.until for page in pages if page.until]
    until = min(ends) if ends else b""
    live, disputed = [], []
    for key in ALPHABET:
        said = {held[key] for held, _ in replicas if key in held}
        if not until or key <= until:
            if said == {False}:
                live.append(key)
            elif said == {False, True}:
                disputed.append(key)
    result = merged(pages)
    assert Merged(list(result.live), list(result.disputed), result.until) == Merged(live, disputed, until)


# --- the whole, against reading every key -----------------------------------------------------------------------------

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete", "blind delete"]),
        st.integers(0, 9),
        st.sampled_from(["n1", "n2", "n3", "n4"]),
        st.sets(st.sampled_from(["n1", "n2", "n3", "n4"]), max_size=2),
    ),
    max_size=25,
)


@given(ACTS, st.sampled_from(["n1", "n2", "n3", "n4"]), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_a_listing_names_what_reads_find(acts: list[tuple[str, int, str, set[str]]], at: str, page: int) -> None:
    async def main() -> None:
        c = Cluster(4, defaults=BucketSettings(3, 2, 2))
        keys = [b"k%d" % number for number in range(10)]
        for number, (act, key, node, away) in enumerate(acts):
            c.away = away - {node}
            levels = c.levels(timeout_ms=200)
            try:
                found = (await c.get(node, keys[key], levels)).record if act == "delete" else None
                context = () if found is None else found.vector
                value = b"v" if act == "put" else None
                await c.put(node, keys[key], value, context=context, write_id=b"%d" % number, levels=levels)
            except ServiceError:
                pass  # not acknowledged: it may be seen or not
        c.away = set()
        await c.pay()
        scanner = scan(c, at)
        listed = await all_of(scanner)
        assert not scanner.missing
        shown = set()
        for name in keys:
            record = (await c.get(at, name)).record
            if record is not None and not shows_nothing(record, False):
                shown.add(name)
        assert set(listed) == shown

    before, scan_module.PAGE_KEYS_MAX = scan_module.PAGE_KEYS_MAX, page
    try:
        run(main)
    finally:
        scan_module.PAGE_KEYS_MAX = before
