"""The page of a real cluster: real processes that die, come back with nothing, and differ behind their store's back."""

import asyncio
import re
import shutil

from playwright.async_api import expect

from tests.browser.stage import Theatre, Window
from tests.cluster.healing import PARTITIONS
from tests.cluster.processes import Cluster
from tests.cluster.stores import change, stored_records

KEYS = 150
HEALED_MS = 60_000


async def put(cluster: Cluster, first: int, count: int, w: int = 3) -> None:
    """Write so many keys through n1; each is on disk at `w` nodes then."""

    def write() -> None:
        for number in range(first, first + count):
            assert cluster.nodes[0].http.put("shop", f"k{number}", b"value %d" % number, w=w).ok

    await asyncio.to_thread(write)


async def agree(window: Window) -> None:
    await expect(window.page.locator("body")).to_have_attribute("data-state", "agree", timeout=HEALED_MS)
    await expect(window.page.locator("h1")).to_contain_text("All replicas agree as of")


def test_a_node_dies_loses_its_disk_and_is_filled_again(theatre: Theatre, cluster: Cluster) -> None:
    async def story(window: Window) -> None:
        page = window.page
        n2 = cluster["n2"]
        await window.open()
        await agree(window)
        await put(cluster, 0, KEYS)
        await asyncio.to_thread(n2.kill)
        await expect(page.locator("h1")).to_contain_text("n2 is down: ", timeout=HEALED_MS)
        await put(cluster, KEYS, 20, w=2)
        await expect(page.locator("h1")).to_have_text("n2 is down: 20 writes wait for it", timeout=HEALED_MS)
        await expect(page.locator("#nodes tr", has_text="n2")).to_contain_text("down")
        await window.until_count("#heat .map .cell[data-state=unknown]", 2 * PARTITIONS)
        await window.shows("#heat .troubles li", f"{2 * PARTITIONS} pairs unknown: n2 is down")
        await window.shows("#hints tbody th", "n2")
        shutil.rmtree(n2.data)
        await asyncio.to_thread(n2.start)
        await agree(window)
        await window.until_count("#heat .map .cell[data-state=in_step]", 3 * PARTITIONS)
        await window.shows("#hints p", "Nothing waits for anybody.")
        await window.shows("#log td", "n2 and ")
        await window.shows("#nodes tr", "exact")

    theatre.visit(story, f"http://{cluster.nodes[0].address}/")


def test_what_differs_behind_the_stores_back_heals_while_one_looks(theatre: Theatre, cluster: Cluster) -> None:
    async def story(window: Window) -> None:
        n3 = cluster["n3"]
        await window.open()
        await put(cluster, 0, KEYS)
        await asyncio.to_thread(n3.stop)
        records = await asyncio.to_thread(stored_records, n3)
        assert len(records) == KEYS
        lost = sorted(records)[: KEYS // 3]
        await asyncio.to_thread(change, n3, dict.fromkeys(lost))
        await asyncio.to_thread(n3.start)
        await agree(window)
        await window.page.wait_for_function(
            "number => document.querySelector('#log p').textContent.includes(` ${number} keys repaired`)", arg=len(lost)
        )
        await window.shows("#log td", "n3")
        await window.page.click("#heat button:text('Compare now')")
        # Those under way anyhow are not begun once more.
        begun = re.compile(r"^[1-9]\d* comparisons begun$")
        await expect(window.page.locator("#heat .done")).to_have_text(begun, timeout=HEALED_MS)

    theatre.visit(story, f"http://{cluster.nodes[0].address}/")


def test_a_key_is_looked_up(theatre: Theatre, cluster: Cluster) -> None:
    async def story(window: Window) -> None:
        page = window.page

        def write() -> None:
            http = cluster.nodes[0].http
            assert http.put("shop", "a/b %", b"one", w=3).ok
            assert http.put("shop", "a/b %", b"other", w=3).ok  # neither knows of the other: two siblings

        await asyncio.to_thread(write)
        await asyncio.to_thread(cluster["n3"].kill)
        await window.open()
        await page.fill("#bucket", "shop")
        await page.fill("#key", "a/b %")
        await page.press("#key", "Enter")
        await window.shows("#lookup [role=status]", "2 of 3 replicas hold all that is known of it.")
        await window.shows("#lookup tr", "n3not reached")
        assert await page.locator("#lookup .siblings li").count() == 4
        await page.fill("#key", "nothing")
        await page.press("#key", "Enter")
        await window.shows("#lookup [role=status]", "No replica that could be asked holds this key.")

    theatre.visit(story, f"http://{cluster.nodes[0].address}/")


def test_its_own_node_dies_and_the_page_finds_it_again(theatre: Theatre, cluster: Cluster) -> None:
    async def story(window: Window) -> None:
        n1 = cluster["n1"]
        await window.open()
        await agree(window)
        await asyncio.to_thread(n1.kill)
        await window.live(False)
        await expect(window.page.locator("h1")).to_contain_text("unknown: nothing was heard since")
        await asyncio.to_thread(n1.start)
        await expect(window.page.locator("body")).to_have_attribute("data-live", "yes", timeout=HEALED_MS)
        await agree(window)

    theatre.visit(story, f"http://{cluster.nodes[0].address}/")


def test_a_stop_does_not_wait_for_those_who_look(theatre: Theatre, cluster: Cluster) -> None:
    async def story(window: Window) -> None:
        await window.open()
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await asyncio.to_thread(cluster["n1"].stop) == 0
        assert loop.time() - began < 4
        await window.live(False)

    theatre.visit(story, f"http://{cluster.nodes[0].address}/")
