"""One Chromium for all tests of the page: it takes a second to start. It ends with them, as it is never idle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynkv.http import events
from tests.browser.stage import Theatre
from tests.cluster.healing import OPTIONS
from tests.cluster.processes import Cluster


@pytest.fixture(scope="package")
def theatre() -> Iterator[Theatre]:
    theatre = Theatre()
    yield theatre
    theatre.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes is told at once, and not a second later."""
    monkeypatch.setattr(events, "EVERY_S", 0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three real nodes that serve, with a cycle that a test can wait for."""
    cluster = Cluster(tmp_path, options=OPTIONS)
    try:
        yield cluster.start()
    finally:
        cluster.close()
