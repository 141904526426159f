"""All kinds of faults, by name: what `--faults` chooses from."""

from dynkv.sim import faults_disk, faults_host, faults_network
from dynkv.sim.fate import How

FAMILIES: dict[str, dict[str, How]] = {
    "network": faults_network.KINDS,
    "host": faults_host.KINDS,
    "disk": faults_disk.KINDS,
}
KINDS: dict[str, How] = {name: how for family in FAMILIES.values() for name, how in family.items()}

# What the store survives only while a peer remembers enough: to be asked for by name.
BY_NAME = ("live-copy",)


def chosen(names: list[str]) -> tuple[str, ...]:
    """Kinds by their own names or by those of families; for none all but `BY_NAME`. ValueError for an unknown one."""
    found: dict[str, None] = {}
    for name in names or list(FAMILIES):
        if name in FAMILIES:
            found.update((kind, None) for kind in FAMILIES[name] if kind not in BY_NAME)
        elif name in KINDS:
            found[name] = None
        else:
            raise ValueError(f"{name!r} is no kind of fault; there are {', '.join([*FAMILIES, *KINDS])}")
    return tuple(found)
