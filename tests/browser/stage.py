"""The page in a real Chromium, beside a node whose cluster is told by the test; all in one event loop.

A story fails if the page writes an error or a warning to its console, if a script throws, or if the content security
policy keeps something out, whatever else the story looks at.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Browser, Page, Playwright, async_playwright

from dynkv.http.view import HttpLimits
from tests.unit.http_node import HttpNode
from tests.unit.surveys import Told

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}

WAIT_MS = 30_000

# Network errors are what some stories are about; the browser logs them by itself.
EXPECTED = ("net::ERR_", "Failed to load resource")


def chromium_path() -> str:
    """Debian's Chromium, which the README's second command installs."""
    found = shutil.which("chromium")
    assert found is not None, "the tests of the page need Debian's chromium: apt-get install chromium"
    return found


class Window:
    """The page of the node at `url`, in a browser."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.faults: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda said: self._console(said.type, said.text))
        page.on("pageerror", lambda error: self.faults.append(f"thrown: {error}"))

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(word in text for word in EXPECTED):
            self.faults.append(f"{kind}: {text}")

    async def open(self) -> None:
        """Go to the page and wait until it is live."""
        await self.page.goto(self.url)
        await self.live()

    async def live(self, live: bool = True) -> None:
        await self.page.wait_for_selector(f"body[data-live={'yes' if live else 'no'}]")

    async def says(self, text: str) -> None:
        """Wait until the big sentence is this."""
        await self.page.wait_for_function("text => document.getElementById('say').textContent === text", arg=text)

    async def shows(self, selector: str, text: str) -> None:
        """Wait until some element of this kind has this text in it."""
        await self.page.locator(selector).filter(has_text=text).first.wait_for()

    async def count(self, selector: str) -> int:
        return await self.page.locator(selector).count()

    async def until_count(self, selector: str, number: int) -> None:
        """Wait until there are so many of this kind."""
        await self.page.wait_for_function(
            "([selector, number]) => document.querySelectorAll(selector).length === number", arg=[selector, number]
        )

    async def focused(self, attribute: str) -> str | None:
        """An attribute of the element that has the focus."""
        found: str | None = await self.page.evaluate("name => document.activeElement.getAttribute(name)", attribute)
        return found

    async def style(self, selector: str, name: str, pseudo: str = "") -> str:
        """A computed style of the first element of this kind."""
        found: str = await self.page.evaluate(
            "([selector, name, pseudo]) =>"
            " getComputedStyle(document.querySelector(selector), pseudo || null).getPropertyValue(name)",
            [selector, name, pseudo],
        )
        return found


class Stage(Window):
    """One node and one page on it. `told` is the cluster as the node tells it; changing it is the play."""

    def __init__(self, node: HttpNode, page: Page) -> None:
        super().__init__(page, f"http://127.0.0.1:{node.port}/")
        self.node = node

    @property
    def told(self) -> Told:
        return self.node.view.told

    @told.setter
    def told(self, told: Told) -> None:
        self.node.view.told = told

    async def stop_node(self) -> None:
        await self.node.server.stop(2.0)
        await self.node.tasks.cancel()

    async def start_node(self) -> None:
        """Another life of the node, at the same address."""
        told, port = self.told, self.node.port
        self.node = HttpNode(HttpLimits())
        self.told = told
        self.node.port = await self.node.server.start("127.0.0.1", port)


Story = Callable[[Stage], Awaitable[None]]


class Theatre:
    """Chromium, and the loop in which it and the nodes live; plays one story at a time."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._playwright: Playwright = self._runner.run(async_playwright().start())
        self._browser: Browser = self._runner.run(self._launch())

    async def _launch(self) -> Browser:
        # In a container there is often no sandbox to be had, and little shared memory; the only pages are ours.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        return await self._playwright.chromium.launch(executable_path=chromium_path(), args=arguments)

    def play(self, story: Story, *, limits: HttpLimits | None = None, told: Told | None = None, **context: Any) -> None:
        """Run `story` on a fresh node and page. `context`: of the browser, as Playwright names it; a desk's screen."""
        self._runner.run(self._played(story, limits or HttpLimits(), told, {**DESK, **context}))

    def visit(self, story: Callable[[Window], Awaitable[None]], url: str) -> None:
        """Run `story` on the page of a real node."""
        self._runner.run(self._visited(story, url))

    async def _visited(self, story: Callable[[Window], Awaitable[None]], url: str) -> None:
        context = await self._browser.new_context(**DESK)
        window = Window(await context.new_page(), url)
        try:
            await story(window)
        finally:
            await context.close()
        assert not window.faults, "\n".join(window.faults)

    async def _played(self, story: Story, limits: HttpLimits, told: Told | None, context: dict[str, Any]) -> None:
        node = HttpNode(limits)
        if told is not None:
            node.view.told = told
        node.port = await node.server.start("127.0.0.1", 0)
        opened = await self._browser.new_context(**context)
        stage = Stage(node, await opened.new_page())
        try:
            await story(stage)
        finally:
            await opened.close()
            await stage.stop_node()
        assert not stage.faults, "\n".join(stage.faults)
        assert stage.node.tasks.failures == 0

    def close(self) -> None:
        self._runner.run(self._browser.close())
        self._runner.run(self._playwright.stop())
        self._runner.close()
