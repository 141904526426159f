"""The heat map: every pair, turning and healing, by shape as well as colour, with a pointer and with keys."""

import json

from playwright.async_api import Route

from tests.browser.stage import PHONE, Stage, Theatre
from tests.unit.surveys import Told

# Keeps the longest time for which scripts held the page, in ms.
LONGEST = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({ type: "longtask", buffered: true });
"""


def cell(partition: int, a: str, b: str) -> str:
    return f'#heat .cell[data-key="{partition}/3/{a}/{b}"]'


def test_it_turns_and_heals(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        assert await stage.count("#heat .map .pair") == 3
        assert await stage.count("#heat .map .cell[data-state=in_step]") == 3 * 16
        stage.told.apart(3, "n1", "n3", 14).repairing(3, "n1", "n3", 5, 14)
        await stage.page.wait_for_selector(f"{cell(3, 'n1', 'n3')}[data-state=apart][data-running]")
        await stage.shows("#heat .sum", "14 keys apart, 15 in step")
        await stage.shows("#heat .troubles button", "Partition 3, n1 and n3: 14 keys apart")
        assert (
            await stage.page.get_attribute(cell(3, "n1", "n3"), "aria-label") == "Partition 3, n1 and n3: 14 keys apart"
        )
        stage.told = Told()
        await stage.page.wait_for_selector(f"{cell(3, 'n1', 'n3')}[data-state=in_step]:not([data-running])")
        await stage.until_count("#heat .troubles li", 0)
        assert await stage.count("#heat .sum:text('all 16 in step')") == 3

    theatre.play(story, told=Told())


def test_what_is_unknown_is_said_with_its_reason(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        stage.told.silent("n2", "down")
        await stage.until_count("#heat .map .cell[data-state=unknown]", 32)
        await stage.shows("#heat .troubles li", "32 pairs unknown: n2 is down")
        await stage.page.hover(cell(5, "n1", "n2"))
        await stage.shows("#heat .at", "Partition 5, n1 and n2: unknown: n2 is down")

    theatre.play(story, told=Told())


def test_states_differ_in_shape_and_not_only_in_colour(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        shapes = set()
        for state in ("in_step", "apart", "unknown", "never"):
            selector = f"#heat .legend [data-state={state}]"
            names = ("border-radius", "transform", "border-top-style", "inset")
            shapes.add(tuple([await stage.style(selector, name, "::before") for name in names]))
        assert len(shapes) == 4

    theatre.play(story)


def test_keys_move_and_enter_opens(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        page = stage.page
        await stage.open()
        assert await stage.count("#heat .map .cell[tabindex='0']") == 1
        await page.focus(cell(0, "n1", "n2"))

        async def at(partition: int, a: str, b: str) -> None:
            assert await stage.focused("data-key") == f"{partition}/3/{a}/{b}"
            assert await page.get_attribute(cell(partition, a, b), "tabindex") == "0"
            assert await stage.count("#heat .map .cell[tabindex='0']") == 1

        for key, where in (
            ("ArrowRight", (1, "n1", "n2")),
            ("ArrowRight", (2, "n1", "n2")),
            ("ArrowLeft", (1, "n1", "n2")),
            ("PageDown", (0, "n1", "n3")),
            ("PageDown", (0, "n2", "n3")),
            ("PageDown", (0, "n2", "n3")),
            ("PageUp", (0, "n1", "n3")),
            ("End", (63, "n2", "n3")),
            ("ArrowRight", (63, "n2", "n3")),
            ("Home", (0, "n1", "n2")),
            ("ArrowUp", (0, "n1", "n2")),
        ):
            await page.keyboard.press(key)
            await at(*where)
        await page.keyboard.press("ArrowDown")
        below = int((await stage.focused("data-key") or "").split("/")[0])
        assert below > 5
        await page.keyboard.press("ArrowUp")
        await at(0, "n1", "n2")
        await stage.shows("#heat .at", "Partition 0, n1 and n2: in step, compared")
        # Out of the map in one step, and back to the same cell.
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Tab")
        assert await stage.focused("data-key") is None
        await page.keyboard.press("Shift+Tab")
        await at(1, "n1", "n2")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#partition:not([hidden])")
        assert await stage.focused("id") == "partition-head"
        await page.keyboard.press("Escape")
        await at(1, "n1", "n2")

    theatre.play(story, told=Told(partitions=64))


def test_a_click_opens_the_partition_with_its_leaves(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        page = stage.page
        await stage.open()
        await page.click(cell(3, "n1", "n3"))
        await stage.shows("#partition h2", "Partition 3")
        await stage.shows("#partition .tree b", "n1 and n3: 3 leaves of 1,024 differed")
        assert await stage.count("#partition .leaves .leaf") == 3
        assert await page.get_attribute("#partition .leaves", "aria-label") == "Leaves that differ: 5, 37, 900"
        assert await stage.count("#partition .leaves .row.differs") == 3
        await stage.shows("#partition .progress", "n1 and n3: repairing, 1 of 3")
        await stage.shows("#partition .state", "3 keys apart")
        await stage.shows("#partition .log td", "repaired")
        # It goes on being looked at.
        stage.told = Told()
        await stage.until_count("#partition .leaves", 0)
        await page.click("#partition button:text('Compare now')")
        await stage.shows("#partition .done", "3 comparisons begun; no answer of n3")
        assert stage.node.view.runs == [(3, None)]
        await page.click("#partition button:text('Close')")
        assert not await page.is_visible("#partition")
        assert await stage.focused("data-key") == "3/3/n1/n3"

    theatre.play(story, told=Told().apart(3, "n1", "n3", 3, [5, 37, 900]).repairing(3, "n1", "n3", 1, 3))


def test_a_partition_by_its_number_and_everything_compared(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        page = stage.page
        await stage.open()
        await page.fill("#which", "7")
        await page.press("#which", "Enter")
        await stage.shows("#partition h2", "Partition 7")
        await page.keyboard.press("Escape")
        assert await stage.focused("id") == "which"
        await page.fill("#which", "16")
        await page.press("#which", "Enter")
        assert not await page.is_visible("#partition"), "there are 16, from 0 on"
        await page.click("#heat button:text('Compare now')")
        await stage.shows("#heat .done", "3 comparisons begun; no answer of n3")
        assert stage.node.view.runs == [(None, None)]

    theatre.play(story, told=Told())


def test_256_partitions_on_ten_nodes(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.page.add_init_script(LONGEST)
        await stage.open()
        assert await stage.count("#heat .map .pair") == 45
        assert await stage.count("#heat .map .cell") == 768
        assert await stage.count("#ring .arc") == 768
        groups = await stage.page.locator("#heat .who b").all_text_contents()
        assert groups[:10] == [f"n1 · n{number}" for number in range(2, 11)] + ["n2 · n3"]
        for _ in range(3):
            stage.told.silent("n4", "down")
            await stage.shows("#nodes .state", "down")
            await stage.until_count("#heat .map .cell[data-state=unknown]", len(shared(stage.told, "n4")))
            stage.told = Told(nodes=10, partitions=256)
            await stage.until_count("#heat .map .cell[data-state=unknown]", 0)
        # A change of all cells holds the page for a moment at most; where others have the processors, for a few.
        assert await stage.page.evaluate("window.longest") < 1500

    theatre.play(story, told=Told(nodes=10, partitions=256))


def shared(told: Told, name: str) -> list[object]:
    return [pair for pair in told.overview().pairs if name in (pair.a, pair.b)]


def test_a_failure_to_look_is_said(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        async def refuse(route: Route) -> None:
            problem = json.dumps({"detail": "the cluster is <b>not</b> formed"})
            await route.fulfill(status=503, content_type="application/problem+json", body=problem)

        await stage.page.route("**/antientropy?partition=*", refuse)
        await stage.open()
        await stage.page.tap(cell(1, "n1", "n2"))
        await stage.shows("#partition p", "the cluster is <b>not</b> formed")

    theatre.play(story, told=Told(), **PHONE)
