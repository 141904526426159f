"""Member maps for property tests: any labels and weights, few enough to think through."""

from itertools import combinations

from hypothesis import strategies as st

from ring import Member, MemberMap

SPREAD_LEVELS = ("region", "zone", "host")


@st.composite
def member_maps(draw: st.DrawFn, max_size: int = 9, weights: st.SearchStrategy[int] | None = None) -> MemberMap:
    """1 to `max_size` members with labels from small sets, so that groups are shared, missing and uneven."""
    ids = draw(
        st.lists(st.from_regex(r"[a-z0-9][a-z0-9-]{0,3}", fullmatch=True), min_size=1, max_size=max_size, unique=True)
    )
    labels = st.sampled_from(["", "a", "b", "c", "d"])
    weight = weights or st.integers(1, 12)
    return MemberMap(
        Member(member_id, draw(weight), draw(st.sampled_from(["", "", "x", "y"])), draw(labels), draw(labels))
        for member_id in ids
    )


def group(member: Member, level: str) -> tuple[str, ...]:
    """The group of a member, as the words of the specification have it, not as the code does."""
    if level == "region":
        return (member.region,)
    if level == "zone":
        return (member.region, member.zone)
    # no host given: a machine of its own, which no label can name
    return (member.region, member.zone, member.host or f"?{member.id}")


def is_spread(members: MemberMap, replicas: tuple[str, ...]) -> bool:
    """At every level: groups all distinct while there are enough of them, all covered where there are not."""
    for level in SPREAD_LEVELS:
        existing = {group(member, level) for member in members}
        used = {group(members[replica], level) for replica in replicas}
        if len(used) != min(len(existing), len(replicas)):
            return False
    return len(set(replicas)) == len(replicas)


def spread_choices(members: MemberMap, n: int) -> list[tuple[str, ...]]:
    """Every set of n members that is spread, by trying them all."""
    return [chosen for chosen in combinations(members.ids, n) if is_spread(members, chosen)]
