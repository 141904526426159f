"""Fixtures of the tests with real processes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cluster.processes import Cluster, ClusterMaker


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[ClusterMaker]:
    """Makes clusters that are not started yet; all their processes are gone after the test."""
    made: list[Cluster] = []

    def make(count: int = 3, *, proxied: bool = False, options: Sequence[str] = ()) -> Cluster:
        folder = tmp_path / f"cluster{len(made)}"
        folder.mkdir()
        cluster = Cluster(folder, count, proxied=proxied, options=options)
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def cluster(make_cluster: ClusterMaker) -> Cluster:
    """Three nodes that serve."""
    return make_cluster().start()
