"""The big sentence: it follows the cluster, is never good when it is old, and comes back by itself."""

import pytest

from dynkv.core.errors import NotFormed
from dynkv.http import events
from tests.browser.stage import Stage, Theatre
from tests.unit.surveys import Told

AGREE = "All replicas agree as of 58 s ago"


def test_a_node_goes_down_and_comes_back(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        await stage.says(AGREE)
        assert await stage.page.get_attribute("body", "data-state") == "agree"
        assert await stage.page.locator(".sign g:visible").get_attribute("class") == "agree"
        stage.told = Told(partitions=2).silent("n2", "down").owes("n1", "n2", 1200).owes("n3", "n2", 4)
        await stage.says("n2 is down: 1,204 writes wait for it")
        assert await stage.page.locator(".sign g:visible").get_attribute("class") == "down"
        await stage.shows("#nodes .state", "down")
        await stage.shows("#hints td", "n1: 1,200 writes, n3: 4 writes")
        await stage.shows("#estimate", "n2 does not answer")
        assert (await stage.page.title()).startswith("n2 is down")
        stage.told = Told(partitions=2).owes("n1", "n2", 600, 300.0)
        await stage.says("600 writes are on the way to n2, about 2 s left")
        stage.told = Told(partitions=2)
        await stage.says(AGREE)
        await stage.shows("#hints p", "Nothing waits for anybody.")

    theatre.play(story)


def test_what_else_is_wrong_is_said_below(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        await stage.says("n3 is down: no writes wait for it")
        await stage.shows("#also li", "unknown: trees of n2 are being rebuilt, 62 %")
        stage.told = Told(partitions=4).building("n2", 0.71)
        await stage.says("unknown: trees of n2 are being rebuilt, 71 %")
        assert await stage.count("#also li") == 0

    theatre.play(story, told=Told(partitions=4).silent("n3", "down").building("n2", 0.62))


def test_a_node_that_goes_away_leaves_nothing_that_looks_good(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        await stage.says(AGREE)
        await stage.stop_node()
        await stage.live(False)
        assert await stage.page.get_attribute("body", "data-state") == "unknown"
        await stage.shows("h1", "unknown: nothing was heard since")
        await stage.shows("#last", f"Last known: {AGREE}")
        await stage.shows("#live", "not live since")
        assert "grayscale" in await stage.style("#heat", "filter")
        await stage.start_node()
        stage.told.apart(0, "n1", "n2", 3)
        await stage.live()
        await stage.says("3 keys apart on n1 and n2; to be repaired within 60 s")
        assert not await stage.page.is_visible("#last")

    theatre.play(story)


def test_a_refusal_is_not_the_end(theatre: Theatre, monkeypatch: pytest.MonkeyPatch) -> None:
    """EventSource gives up at an answer that is no stream; the page does not."""
    monkeypatch.setattr(events, "RETRY_MS", 50)

    async def story(stage: Stage) -> None:
        stage.node.view.error = NotFormed("never heard of n2")
        await stage.page.goto(stage.url)
        await stage.says("unknown: this node cannot say how the cluster is: never heard of n2")
        stage.node.view.error = None
        await stage.live()
        await stage.says(AGREE)

    theatre.play(story)


def test_a_line_that_is_dead_without_a_word_is_noticed(theatre: Theatre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "EVERY_S", 3600)  # the line stays open, and nothing is said on it any more

    async def story(stage: Stage) -> None:
        await stage.page.clock.install()
        await stage.open()
        await stage.page.clock.fast_forward(11_000)
        await stage.live()
        await stage.page.clock.fast_forward(2_000)
        await stage.live(False)
        await stage.page.clock.fast_forward(2_000)
        await stage.live()

    theatre.play(story)


def test_it_is_spoken_when_it_changes_and_not_with_every_number(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        await stage.page.wait_for_function("text => document.getElementById('aloud').textContent === text", arg=AGREE)
        stage.told.now_ms += 3000
        await stage.says("All replicas agree as of 61 s ago")
        assert await stage.page.text_content("#aloud") == AGREE
        stage.told = Told(partitions=2).silent("n2", "down")
        text = "n2 is down: no writes wait for it"
        await stage.page.wait_for_function("text => document.getElementById('aloud').textContent === text", arg=text)

    theatre.play(story)
