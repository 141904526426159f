"""One Chromium for all tests of the page: it takes a second to start."""

from collections.abc import Iterator

import pytest

from dynkv.http import events
from tests.browser.stage import Theatre


@pytest.fixture(scope="session")
def theatre() -> Iterator[Theatre]:
    theatre = Theatre()
    yield theatre
    theatre.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes is told at once, and not a second later."""
    monkeypatch.setattr(events, "EVERY_S", 0.05)
