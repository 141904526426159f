"""The other parts of the page: look-up, log, ring, charts, and how fast writes spread."""

import json
from typing import Any

import pytest
from msgspec import structs
from playwright.async_api import Route

from dynkv.core.survey import Entry, Load
from tests.browser.stage import Stage, Theatre
from tests.unit.surveys import NOW_MS, Told

ACTOR = "00ab12cd34ef5678"


def replica(
    node: str, state: str, why: str = "", counter: int = 3, deleted: bool = False, role: str = "primary"
) -> dict[str, Any]:
    """What one replica holds, as `GET /kv/{bucket}/{key}?replicas=true` tells it."""
    if state in ("unreachable", "unreadable", "absent"):
        return {"node": node, "role": role, "state": state, "digest": None, "vector": [], "siblings": [], "why": why}
    sibling = {
        "dot": f"{ACTOR}-{counter}",
        "time": "2027-01-15T07:59:10Z",
        "deleted": deleted,
        "content_type": "" if deleted else "text/<plain>",
        "bytes": 0 if deleted else 2048,
    }
    vector = [[ACTOR, counter]]
    digest = "a1b2" * 8
    told = {"node": node, "role": role, "state": state, "digest": digest, "vector": vector, "why": why}
    return told | {"siblings": [sibling]}


def answering(asked: list[str], status: int, body: Any) -> Any:
    async def answer(route: Route) -> None:
        asked.append(route.request.url.partition("/kv/")[2])
        await route.fulfill(status=status, content_type="application/json", body=json.dumps(body))

    return answer


async def look_up(stage: Stage, bucket: str, key: str) -> None:
    await stage.page.fill("#bucket", bucket)
    await stage.page.fill("#key", key)
    await stage.page.press("#key", "Enter")


def test_a_key_and_what_its_replicas_hold(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        asked: list[str] = []
        told = {
            "bucket": "carts",
            "key": "a/ü?",
            "partition": 9,
            "digest": "a1b2" * 8,
            "replicas": [
                replica("n1", "same"),
                replica("n2", "behind", counter=2),
                replica("n3", "same", deleted=True),
                replica("n4", "unreachable", "timed out"),
                replica("n5", "absent", role="fallback"),
                replica("n6", "behind", role="fallback"),
                replica("n7", "absent", role="fallback"),
            ],
            "tombstone": None,
        }
        await stage.page.route("**/kv/**", answering(asked, 200, told))
        await stage.open()
        await look_up(stage, "carts", "a/ü?")
        await stage.shows("#lookup [role=status]", "2 of 4 replicas hold all that is known of it.")
        assert asked == ["carts/a%2F%C3%BC%3F?replicas=true"]
        rows = await stage.page.locator("#lookup tbody tr").all_inner_texts()
        assert [row.split()[0] for row in rows] == ["n1", "n2", "n3", "n4", "n6"]
        assert rows[4].startswith("n6 (stands in)")
        await stage.shows("#lookup p", "2 other nodes hold nothing of it, as they should.")
        assert "up to date" in rows[0]
        assert "text/<plain>, 2.0 KiB" in rows[0]
        assert "00ab12:3" in rows[0]
        assert "behind" in rows[1]
        assert "deleted" in rows[2]
        assert "not reached: timed out" in rows[3]
        await stage.page.click("#lookup button:text('Open partition 9')")
        await stage.shows("#partition h2", "Partition 9")
        await stage.page.keyboard.press("Escape")
        assert await stage.page.evaluate("document.activeElement.textContent") == "Open partition 9"

    theatre.play(story, told=Told())


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (400, {"detail": "bucket: is <none>"}, "bucket: is <none>"),
        (503, {"detail": "the cluster is not formed yet"}, "the cluster is not formed yet"),
        (200, {"replicas": [replica("n1", "absent")], "partition": 1}, "No replica holds this key."),
        (
            200,
            {"replicas": [replica("n1", "absent"), replica("n2", "unreachable")], "partition": 1},
            "No replica that could be asked holds this key.",
        ),
        (
            200,
            {"replicas": [replica("n1", "same", deleted=True)], "partition": 1, "tombstone": "n3 <is> away"},
            "1 of 1 replica holds all that is known of it. It is deleted, and its tombstone still kept: n3 <is> away.",
        ),
        (500, [], "The node did not answer."),
    ],
)
def test_a_key_that_is_not_found(theatre: Theatre, status: int, body: Any, says: str) -> None:
    async def story(stage: Stage) -> None:
        await stage.page.route("**/kv/**", answering([], status, body))
        await stage.open()
        await look_up(stage, "b", "k")
        await stage.shows("#lookup [role=status]", says)

    theatre.play(story)


def test_a_key_that_no_browser_can_ask_for(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        asked: list[str] = []
        await stage.page.route("**/kv/**", answering(asked, 200, {}))
        await stage.open()
        await look_up(stage, "b", "..")
        await stage.shows("#lookup [role=status]", "A browser cannot ask for this key")
        assert asked == []

    theatre.play(story)


def test_the_log_grows_at_its_top(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        assert await stage.count("#log tbody tr") == 12
        await stage.shows("#log p", "3,600 comparisons, 156 keys repaired, 156 KiB moved")
        survey = stage.node.view.survey()
        entry = Entry(7, NOW_MS - 1000, "exchange", 90, "n3", 14, 2, 16_384, 412, "repaired, 1 key moved on")
        stage.told.change("n1", log=(*survey.log, entry))
        await stage.shows("#log tbody tr:first-child td", "repaired, 1 key moved on")
        first = await stage.page.locator("#log tbody tr").first.inner_text()
        assert first.split("\t")[1:] == [
            "exchange",
            "n1 and n3",
            "90",
            "14",
            "2",
            "16 KiB",
            "412 ms",
            "repaired, 1 key moved on",
        ]
        await stage.page.click("#log button:text('Show all 19')")
        assert await stage.count("#log tbody tr") == 19
        await stage.page.click("#log button:text('Show fewer')")
        assert await stage.count("#log tbody tr") == 12

    theatre.play(story, told=Told(partitions=128))


def test_the_ring_picks_out_a_node(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        page = stage.page
        await stage.open()
        await page.wait_for_selector("#ring .arc")
        assert await stage.count("#ring .arc") == 3 * 32
        held = sum("n2" in nodes[:3] for nodes in stage.told.facts.preference)
        await stage.shows("#ring button", f"n2{held} replicas")
        await page.click("#ring button[data-node=n2]")
        assert await stage.count("#ring .arc:not(.faded)") == held
        assert await page.get_attribute("#ring button[data-node=n2]", "aria-pressed") == "true"
        await page.click("#ring button[data-node=n2]")
        assert await stage.count("#ring .faded") == 0
        await page.locator("#ring g").nth(5).hover()
        names = stage.told.facts.preference[5][:3]
        await stage.shows("#ring .at", f"Partition 5: {names[0]}, {names[1]} and {names[2]}")
        assert f"n2 {held}" in (await page.get_attribute("#ring svg", "aria-label") or "")

    theatre.play(story, told=Told(nodes=5, partitions=32))


def test_charts_follow_and_leave_a_gap_where_nothing_was_known(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        page = stage.page
        await stage.open()
        await stage.shows("#load .legend li", "reads1,292")
        stage.told.change("n1", load=Load(1000.0, 9.5, None, 44.0))
        await stage.shows("#load .legend li", "reads1,881")
        await stage.shows("#load .legend li", "writes44 ms")
        await page.wait_for_function(
            "() => /L/.test(document.querySelector('#load path.reads:not(.legend *)').getAttribute('d'))"
        )
        stage.told.owes("n1", "n3", 70)
        await stage.shows("#hints .legend li", "n370")
        assert "Writes that wait" in (await page.get_attribute("#hints .plot svg", "aria-label") or "")
        await stage.stop_node()
        await stage.live(False)
        await stage.shows("#load .legend li", "reads–")
        await stage.start_node()
        await stage.live()
        await stage.shows("#load .legend li", "reads1,881")
        # Two pieces: what was seen before, and what is seen since.
        await page.wait_for_function(
            "() => document.querySelector('#load .plot path.reads').getAttribute('d').split('M').length === 3"
        )

    theatre.play(story)


def test_how_fast_writes_spread(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        await stage.shows("#spread .histogram p", "replication41,613 writes: half within 10 ms, 99 % within 100 ms")
        assert await stage.count("#spread .histogram") == 4
        await stage.shows("#spread dd", "129 wait, 930 reaped since the nodes started")
        survey = stage.node.view.survey()
        stage.told.change("n1", scrub=structs.replace(survey.scrub, damaged=3, repaired=1))
        await stage.shows("#spread dd", "n1 cycle 2, 41 %, 3 damaged, 1 repaired")
        await stage.says("2 damaged records on n1, to be refilled from the other replicas")

    theatre.play(story)
