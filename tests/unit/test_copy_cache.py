"""The cache of copies against a dict: what it says is true, and it holds no more than it may."""

from hypothesis import given
from hypothesis import strategies as st

from dynkv.cache import OVERHEAD_BYTES, CopyCache
from dynkv.storage.envelope import Envelope

KEYS = [b"a", b"b", b"c", b"d", b"e", b"f"]
steps = st.lists(
    st.tuples(st.sampled_from(["look", "change", "forget", "clear"]), st.sampled_from(KEYS), st.integers(0, 900)),
    max_size=80,
)


def size_of(cache: CopyCache) -> int:
    kept = [*cache._young.values(), *cache._old.values()]
    return sum(len(copy.record) + OVERHEAD_BYTES for copy in kept)


@given(steps=steps, bytes_max=st.sampled_from([0, 1, 700, 2000, 5000, 100_000]))
def test_what_is_kept_is_what_is_stored_and_no_more_than_the_bound(
    steps: list[tuple[str, bytes, int]], bytes_max: int
) -> None:
    cache = CopyCache(bytes_max)
    stored: dict[bytes, Envelope] = {}
    for what, key, size in steps:
        if what == "look":
            copy = cache.get(key)
            assert copy is None or copy is stored.get(key)
            if copy is None and key in stored:
                cache.keep(key, stored[key])
        elif what == "change":
            cache.forget(key)
            stored[key] = Envelope(b"x" * size, b"", 0, 0)
            cache.keep(key, stored[key])
        elif what == "forget":
            cache.forget(key)
            stored.pop(key, None)
        else:
            cache.clear()
        assert size_of(cache) <= bytes_max
        young = sum(len(copy.record) + OVERHEAD_BYTES for copy in cache._young.values())
        assert cache._young_bytes == young
        assert not cache._young.keys() & cache._old.keys()


def test_what_is_used_stays() -> None:
    cache = CopyCache(20 * (OVERHEAD_BYTES + 10))
    hot = Envelope(b"x" * 10, b"", 0, 0)
    cache.keep(b"hot", hot)
    for number in range(200):
        cache.keep(b"%d" % number, Envelope(b"x" * 10, b"", 0, 0))
        assert cache.get(b"hot") is hot
