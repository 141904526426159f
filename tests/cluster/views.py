"""What nodes say of themselves, and what their disks hold, in the form that tests ask about."""

from collections import defaultdict
from collections.abc import Sequence

from tests.cluster.processes import Cluster, Node
from tests.support import eventually


def hints_at(node: Node) -> dict[str, int]:
    """How many hints `node` keeps, by target; targets that are owed nothing are left out."""
    targets = node.get("/hints")["targets"]
    return {target: entry["count"] for target, entry in targets.items() if entry["count"]}


def hints(nodes: Sequence[Node]) -> dict[str, int]:
    """How many hints all of `nodes` keep, by target."""
    total: dict[str, int] = defaultdict(int)
    for node in nodes:
        for target, count in hints_at(node).items():
            total[target] += count
    return dict(total)


def no_hints(cluster: Cluster) -> bool:
    """Whether no running node owes anything to anybody."""
    return not hints([node for node in cluster.nodes if node.process is not None])


def states(node: Node) -> dict[str, str]:
    """How `node` sees every other: "up", "suspected" or "down"."""
    return {entry["id"]: entry["state"] for entry in node.get("/nodes")["nodes"] if entry["id"] != node.name}


def wait_state(node: Node, other: Node, *, up: bool, deadline_s: float = 10.0) -> None:
    """Until `node` sees `other` up, or suspects it."""
    what = f"{node.name} {'trusts' if up else 'suspects'} {other.name}"
    eventually(lambda: (states(node)[other.name] == "up") is up, deadline_s, what)


def wait_no_hints(cluster: Cluster, deadline_s: float = 30.0) -> None:
    """Until no running node owes anything."""
    eventually(lambda: no_hints(cluster), deadline_s, "all hints paid")
