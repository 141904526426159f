"""The page as it is served: all that it says without a script, its files, and what a browser may do with them."""

import re
from base64 import b64encode
from html.parser import HTMLParser

import pytest
from msgspec import structs

from dynkv.core.errors import NotFormed
from dynkv.core.overview_rows import KnownMember
from tests.unit.http_node import HttpNode, play
from tests.unit.http_raw import Answer, RawClient
from tests.unit.sources import ROOT
from tests.unit.surveys import Told

FOLDER = ROOT / "dynkv/http/page"


class Page(HTMLParser):
    """What is in a page: its text, its tags, and what they refer to."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(answer.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    @property
    def text(self) -> str:
        return "\n".join(text for text in self.texts if text)

    def references(self) -> list[str]:
        names = ("src", "href")
        return [value for _, attrs in self.tags for name in names if (value := attrs.get(name)) is not None]


def test_all_is_said_without_a_script() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.told = Told(3, 16).silent("n2", "down").owes("n1", "n2", 1204).apart(3, "n1", "n3", 14)
        page = Page(await client.ask("GET", "/"))
        for text in (
            "n2 is down: 1,204 writes wait for it",
            "14 keys apart on n1 and n3; to be repaired within 60 s",
            "When all replicas will agree cannot be said: n2 does not answer.",
            "n1 · 3 nodes · 16 partitions · 3 replicas of each key",
            "n1 and n3",
            "down",
            "exact",
        ):
            assert text in page.texts
        assert ("body", {"data-state": "down", "data-node": "n1"}) in page.tags

    play(story)


def test_what_is_data_is_escaped() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        evil = '<script>alert("1")</script>&'
        told = node.view.told.silent("n3", "down")
        told.whys["n3"] = evil
        told.change("n1", not_ready=(evil,), log=(structs.replace(node.view.survey().log[0], result=evil),))
        members = (*told.facts.members[:2], KnownMember(id="n3", http=evil, zone=evil))
        told.facts = structs.replace(told.facts, members=members)
        answer = await client.ask("GET", "/")
        assert b"<script>alert" not in answer.body
        page = Page(answer)
        assert [attrs.get("src") for tag, attrs in page.tags if tag == "script"] == ["page/main.js"]
        assert page.texts.count(evil) >= 3

    play(story)


def test_a_node_that_cannot_say_has_a_page_too() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.error = NotFormed("never heard of n2 & <n3>")
        page = Page(await client.ask("GET", "/"))
        assert "unknown: this node cannot say how the cluster is: never heard of n2 & <n3>" in page.texts
        assert ("body", {"data-state": "unknown", "data-node": "n1"}) in page.tags

    play(story)


def test_it_needs_nothing_from_elsewhere_and_may_load_nothing_else() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await client.ask("GET", "/")
        page = Page(answer)
        for reference in page.references():
            assert not re.match(r"[a-z]+:|//", reference), reference
            if reference.startswith("page/"):
                assert (await client.ask("GET", f"/{reference}")).status == 200
        assert not [tag for tag, attrs in page.tags if tag == "style" or "style" in attrs]
        assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
        policy = dict(part.split(" ", 1) for part in answer.fields["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in answer.fields["content-security-policy"]
        assert answer.fields["cache-control"] == "no-store"
        assert answer.fields["x-content-type-options"] == "nosniff"

    play(story)


def test_every_packaged_file_is_served_and_kept_by_its_etag() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        names = sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".js", ".css", ".svg"))
        assert {"main.js", "base.css", "icon.svg"} <= set(names)
        etags = set()
        for name in names:
            answer = await client.ask("GET", f"/page/{name}")
            assert answer.body == (FOLDER / name).read_bytes()
            kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
            assert answer.fields["content-type"].startswith(kinds[name.rpartition(".")[2]])
            assert answer.fields["cache-control"] == "no-cache"
            etags.add(etag := answer.fields["etag"])
            again = await client.ask("GET", f"/page/{name}", None, {"If-None-Match": etag})
            assert (again.status, again.body, again.fields["etag"]) == (304, b"", etag)
            assert (await client.ask("GET", f"/page/{name}", None, {"If-None-Match": '"x"'})).status == 200
        assert len(etags) == len(names)

    play(story)


@pytest.mark.parametrize(
    "target",
    [
        "/page/",
        "/page/nope.js",
        "/page/index.html",
        "/page/../view.py",
        "/page/%2e%2e/view.py",
        "/page",
        "/page/x/main.js",
    ],
)
def test_no_other_file(target: str) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        assert (await client.ask("GET", target)).status == 404

    play(story)


def test_scripts_and_styles_load_nothing_from_elsewhere() -> None:
    for path in sorted(FOLDER.iterdir()):
        text = path.read_text()
        for found in re.findall(r"https?://[^\s\"'`)]+", text):
            # A namespace is a name; another node's page is gone to, not loaded from.
            assert found.startswith(("http://www.w3.org/", "http://${http}")), f"{path.name}: {found}"
        for module in re.findall(r"""(?:from|import)\s+["']([^"']+)["']""", text):
            assert (FOLDER / module).resolve().parent == FOLDER, f"{path.name}: {module}"
            assert (FOLDER / module).exists(), f"{path.name}: {module}"
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "@import"):
            assert word not in text, f"{path.name}: {word}"


def test_the_page_is_small() -> None:
    files = [path for path in FOLDER.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 120_000
    assert all(len(path.read_text().splitlines()) <= 400 for path in files)


def test_a_browser_may_give_the_token_as_a_password() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        browser = {"Accept": "text/html,*/*;q=0.8"}
        asked = await client.ask("GET", "/", None, browser)
        assert (asked.status, asked.kind) == (401, "unauthorized")
        assert asked.fields["www-authenticate"].startswith("Basic realm=")
        for user in ("", "operator"):
            told = {"Authorization": "Basic " + b64encode(f"{user}:sesame".encode()).decode()}
            for target in ("/", "/page/main.js", "/antientropy", "/nodes"):
                assert (await client.ask("GET", target, None, browser | told)).status == 200
        for wrong in ("sesame:", "x:sesam", "x:sesame2", "sesame", ":"):
            told = {"Authorization": "Basic " + b64encode(wrong.encode()).decode()}
            assert (await client.ask("GET", "/", None, browser | told)).status == 401
        for broken in ("Basic", "Basic ", "Basic $$$", "Basic é", "basic c2VzYW1l"):
            assert (await client.ask("GET", "/", None, {"Authorization": broken})).status == 401

    play(story, client_token=b"sesame")
