"""The page as a whole: without a script, on a phone, dark, still, with names that are markup, behind a password."""

import pytest
from msgspec import structs

from dynkv.core.overview_rows import KnownMember
from dynkv.core.survey import Load
from dynkv.http.view import HttpLimits
from tests.browser.stage import DESK, PHONE, Stage, Theatre
from tests.unit.surveys import Told

EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>'

# Of each visible text, the contrast to what is behind it: [ratio, text], the worst first. (WCAG 2.2, 1.4.3.)
CONTRASTS = """() => {
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const found = parts(getComputedStyle(element).backgroundColor);
      if (found.length === 3 || found[3] > 0.9) return found;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("main *, header *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("svg")) continue;
    const [one, two] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
    found.push([(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found.sort((one, two) => one[0] - two[0]);
}"""


def troubled(nodes: int = 3, partitions: int = 256) -> Told:
    """A cluster in which every part of the page has something to show."""
    told = Told(nodes, partitions).silent("n2", "down").owes("n1", "n2", 1204)
    told.apart(3, "n1", "n3", 14, [5, 900]).repairing(3, "n1", "n3", 5, 14).building("n3", 0.62)
    return told


def test_without_a_script_it_is_tables(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.page.goto(stage.url)
        assert await stage.page.text_content("h1") == "n2 is down: 1,204 writes wait for it"
        assert await stage.count("table.rows") == 4
        await stage.shows("#nodes td", "down")
        await stage.shows("#heat th", "n1 and n3")
        await stage.shows("#hints td", "1,204")
        await stage.shows("#log td", "repaired")
        await stage.shows("noscript p", "Without scripts")
        for part in ("#ring", "#load", "#lookup", "#spread", "#partition"):
            assert not await stage.page.is_visible(part)
        # It loads itself anew.
        stage.told = Told(3, 16)
        await stage.page.wait_for_selector("h1:text('All replicas agree')")

    theatre.play(story, told=troubled(), java_script_enabled=False)


@pytest.mark.parametrize("size", [(3, 256), (10, 256)])
@pytest.mark.parametrize("form", ["phone", "narrow", "desk"])
def test_nothing_is_wider_than_the_screen(theatre: Theatre, form: str, size: tuple[int, int]) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        await stage.page.fill("#which", "3")
        await stage.page.press("#which", "Enter")
        await stage.page.wait_for_selector("#partition table")
        await stage.page.click("summary")
        found = await stage.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert found[0] <= found[1]

    narrow = {"viewport": {"width": 800, "height": 600}}
    context = {"phone": PHONE, "narrow": narrow, "desk": DESK}[form]
    theatre.play(story, told=troubled(*size), **context)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(theatre: Theatre, scheme: str) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        await stage.page.fill("#which", "3")
        await stage.page.press("#which", "Enter")
        await stage.page.wait_for_selector("#partition table")
        contrasts = await stage.page.evaluate(CONTRASTS)
        assert len(contrasts) > 60
        assert contrasts[0][0] >= 4.5, contrasts[:5]
        ground = await stage.style("body", "background-color")
        assert ground == {"light": "rgb(244, 246, 248)", "dark": "rgb(16, 21, 27)"}[scheme]

    theatre.play(story, told=troubled(), color_scheme=scheme)


def test_who_wants_no_motion_gets_none(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        await stage.page.wait_for_selector(".cell[data-running]")
        assert await stage.page.evaluate("document.getAnimations().length") == 0

    theatre.play(story, told=troubled(), reduced_motion="reduce")


def test_names_that_are_markup_are_shown_as_names(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        told = stage.told
        told.silent("n3", "up", EVIL).unknown("n1", EVIL, lambda a, b: b == "n2")
        survey = stage.node.view.survey()
        told.change("n1", log=(structs.replace(survey.log[0], result=EVIL, partition=3),), not_ready=(EVIL,))
        evil = KnownMember(id="n3", http="javascript:alert(1)//", zone=EVIL)
        told.facts = structs.replace(told.facts, members=(*told.facts.members[:2], evil))
        await stage.open()
        await stage.page.fill("#which", "3")
        await stage.page.press("#which", "Enter")
        await stage.shows("#partition td", EVIL)
        for part in ("#nodes small", "#nodes .state", "#log td", "#heat .troubles li", "#also li"):
            await stage.shows(part, EVIL)
        assert await stage.count("img") == 0
        assert await stage.count("script") == 1
        assert await stage.count("#nodes a") == 1, "n2's page; no page of n3 is at such an address"

    theatre.play(story, told=Told())


def test_every_control_has_a_name_and_a_heading_stands_over_every_part(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        nameless = await stage.page.evaluate(
            "() => [...document.querySelectorAll('button, input, a, [role=img], [role=group], section')]"
            ".filter((one) => one.checkVisibility())"
            ".filter((one) => !(one.textContent.trim() || one.ariaLabel || one.labels?.length))"
            ".map((one) => one.outerHTML)"
        )
        assert nameless == []
        assert await stage.count("h1") == 1
        for part in await stage.page.query_selector_all("main > section"):
            assert await part.get_attribute("aria-labelledby")

    theatre.play(story, told=troubled())


def test_the_way_to_the_other_nodes(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        links = await stage.page.eval_on_selector_all(
            "#nodes a", "all => all.map((one) => [one.textContent, one.href])"
        )
        assert links == [["n2", "http://10.0.0.2:8101/"], ["n3", "http://10.0.0.3:8101/"]]

    theatre.play(story)


def test_what_has_the_focus_keeps_it_while_numbers_change(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        page = stage.page
        stage.told.apart(0, "n1", "n2", 7)
        await stage.open()
        await page.focus("#nodes a")
        stage.told.change("n2", load=Load(4321.0, 1.0, 2.0, 3.0)).apart(1, "n1", "n2", 5)
        await stage.shows("#nodes td", "4,321")
        assert await page.evaluate("document.activeElement.textContent") == "n2"
        await page.focus("#heat .troubles button")
        stage.told.apart(1, "n1", "n2", 3)
        await stage.shows("#heat .troubles button", "Partition 1, n1 and n2: 3 keys apart")
        assert (await page.evaluate("document.activeElement.textContent")).startswith("Partition 0")
        await page.keyboard.press("Enter")
        await stage.shows("#partition h2", "Partition 0")

    theatre.play(story)


def test_behind_a_password(theatre: Theatre) -> None:
    async def story(stage: Stage) -> None:
        await stage.open()
        await stage.says("All replicas agree as of 58 s ago")
        await stage.page.click("#heat button:text('Compare now')")
        await stage.shows("#heat .done", "3 comparisons begun; no answer of n3")

    password = {"username": "anybody", "password": "sesame"}
    theatre.play(story, limits=HttpLimits(client_token=b"sesame"), http_credentials=password)
