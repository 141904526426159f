"""`dynkv antientropy`: what is said of a cluster, what is asked of it, and how watching begins and ends."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from rich.console import Console

from dynkv.cli import agreement_text, agreement_watch
from dynkv.cli.exit_codes import Exit
from dynkv.http.antientropy import one_partition
from tests.unit.cli_runner import Terminal
from tests.unit.http_stub import Asked, Said, Stub
from tests.unit.surveys import Told

HEALTHY = Told()


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def telling(*clusters: Told) -> Callable[[Asked], Said]:
    """A node that tells of these clusters, one look after the other, and of the last for good."""
    left = list(clusters)

    def answer(asked: Asked) -> Said:
        told = left.pop(0) if len(left) > 1 else left[0]
        return Said(200, msgspec.json.encode(told.overview()))

    return answer


def test_all_agree(dynkv: Terminal) -> None:
    with Stub(telling(HEALTHY)) as stub:
        done = dynkv("antientropy", "status", "--url", stub.url)
    assert done.code == Exit.OK
    lines = done.out.decode().splitlines()
    assert lines[0] == "✓ All replicas agree as of 58 s ago"
    assert any(line.split() == "n1 and n2 16 16 0 0 0 0 58 s ago".split() for line in lines)
    assert any(line.split()[:2] == ["n3", "up"] for line in lines)
    assert (stub.asked[0].method, stub.asked[0].path) == ("GET", "/antientropy")


def test_what_is_wrong_is_said_in_words_and_in_tables(dynkv: Terminal) -> None:
    told = Told().silent("n2", "down").owes("n1", "n2", 1204).apart(3, "n1", "n3", 14).repairing(3, "n1", "n3", 5, 14)
    with Stub(telling(told)) as stub:
        done = dynkv("antientropy", "status", "--url", stub.url)
    assert done.code == Exit.NO
    text = done.out.decode()
    assert text.startswith("! n2 is down: 1,204 writes wait for it\n  14 keys apart on n1 and n3; repairing\n")
    assert "when all replicas will agree cannot be said: n2 does not answer" in text
    for row in ("n2 1,204 1,232,896 10 s ago 0", "3 n1 and n3 14 24 s ago", "n1 and n3 3 repair 5 of 14"):
        assert row.split() in [line.split() for line in text.splitlines()]


def test_unknown_is_not_good(dynkv: Terminal) -> None:
    for told in (Told().building("n3", 0.6), Told().silent("n3", "up")):
        with Stub(telling(told)) as stub:
            done = dynkv("antientropy", "status", "--url", stub.url, "-o", "json")
        assert done.code == Exit.NO
        assert json.loads(done.out)["verdict"]["state"] == "unknown"


def test_nothing_to_compare_is_good(dynkv: Terminal) -> None:
    with Stub(telling(Told(1))) as stub:
        assert dynkv("antientropy", "status", "--url", stub.url).code == Exit.OK


def test_one_partition(dynkv: Terminal) -> None:
    told = Told().apart(3, "n1", "n3", 2, range(70))
    members = one_partition(told.overview(), 3, list(told.facts.preference[3]))
    with Stub(lambda asked: Said(200, msgspec.json.encode(members))) as stub:
        done = dynkv("antientropy", "status", "--partition", "3", "--url", stub.url)
        assert stub.asked[0].path == "/antientropy?partition=3"
    text = " ".join(done.out.decode().split())
    assert done.code == Exit.NO
    assert text.startswith("Partition 3: replicas on ")
    assert "2 keys apart" in text
    assert "and 6 more" in text


def test_data_is_not_markup(dynkv: Terminal) -> None:
    told = Told().silent("n3", why="[red]no[/red] [link=x]y")
    with Stub(telling(told)) as stub:
        text = dynkv("antientropy", "status", "--url", stub.url).out.decode()
    assert "[red]no[/red] [link=x]y" in text


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ((), "/antientropy/run"),
        (("--partition", "7"), "/antientropy/run?partition=7"),
        (("--node", "n 2&"), "/antientropy/run?node=n%202%26"),
        (("--node", "n2", "--partition", "0"), "/antientropy/run?partition=0&node=n2"),
    ],
)
def test_run(dynkv: Terminal, options: tuple[str, ...], path: str) -> None:
    with Stub(lambda asked: Said(200, b'{"n1": 1200, "n2": 4, "n3": null}')) as stub:
        done = dynkv("antientropy", "run", "--url", stub.url, *options)
        assert (done.code, done.out.decode()) == (Exit.OK, "1,204 comparisons begun; no answer of n3\n")
        assert (stub.asked[0].method, stub.asked[0].path) == ("POST", path)
        done = dynkv("antientropy", "run", "--url", stub.url, *options, "-o", "json")
        assert json.loads(done.out) == {"n1": 1200, "n2": 4, "n3": None}


@pytest.mark.parametrize("command", ["status", "run", "watch"])
@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (Said(400, b'{"detail": "partition: is none", "limit": "0..15"}'), Exit.REFUSED, "0..15"),
        (Said(503, b'{"detail": "the cluster is not formed yet"}'), Exit.UNAVAILABLE, "not formed"),
        (Said(200, b"<html>"), Exit.UNREACHABLE, "not dynkv"),
        (Said(200, b"[]"), Exit.UNREACHABLE, "not dynkv"),
        (Said(0), Exit.UNREACHABLE, ""),
    ],
)
def test_failures_have_their_codes(dynkv: Terminal, command: str, said: Said, code: Exit, text: str) -> None:
    with Stub(lambda asked: said) as stub:
        done = dynkv("antientropy", command, "--url", stub.url)
    assert done.code == code
    assert text in done.err
    assert done.out == b""


def test_an_overview_of_another_version_is_told(dynkv: Terminal) -> None:
    with Stub(lambda asked: Said(200, b'{"verdict": {}}')) as stub:
        done = dynkv("antientropy", "status", "--url", stub.url)
    assert done.code == Exit.UNREACHABLE
    assert "another version" in done.err


def test_watching_until_all_agree_says_what_changes_and_only_that(dynkv: Terminal) -> None:
    owed = [Told().owes("n1", "n2", number, 300.0) for number in (1204, 600, 300)]
    down = Told().silent("n2", "down")
    with Stub(telling(down, *owed, Told().apart(3, "n1", "n3", 1), HEALTHY)) as stub:
        done = dynkv("antientropy", "watch", "--until-agree", "--interval", "0.05", "--url", stub.url)
    assert done.code == Exit.OK
    assert [line[10:] for line in done.out.decode().splitlines()] == [
        "n2 is down: no writes wait for it",
        "1,204 writes are on the way to n2, about 5 s left",
        "1 key apart on n1 and n3; to be repaired within 60 s",
        "All replicas agree as of 58 s ago",
    ]


def test_watching_as_json_goes_on_while_nobody_answers(dynkv: Terminal) -> None:
    left: Iterator[Said] = iter(
        [
            Said(200, msgspec.json.encode(Told().apart(3, "n1", "n3", 1).overview())),
            Said(0),
            Said(503, b'{"detail": "not now"}'),
            Said(200, msgspec.json.encode(HEALTHY.overview())),
        ]
    )
    with Stub(lambda asked: next(left)) as stub:
        done = dynkv("antientropy", "watch", "--until-agree", "--interval", "0.05", "--url", stub.url, "-o", "json")
    assert done.code == Exit.OK
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.out.splitlines()]
    assert [line["verdict"]["state"] if "verdict" in line else "lost" for line in lines] == [
        "apart",
        "lost",
        "lost",
        "agree",
    ]
    assert "not now" in lines[2]["error"]


def test_ctrl_c_is_the_usual_end_of_watching(dynkv: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dynkv.cli.agreement_watch.time.sleep", interrupted)
    with Stub(telling(HEALTHY)) as stub:
        done = dynkv("antientropy", "watch", "--url", stub.url)
    assert done.code == Exit.OK
    assert b"All replicas agree" in done.out


def test_a_screen_that_lost_its_node_says_that_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(width=100, force_terminal=True, record=True, file=None)
    monkeypatch.setattr(agreement_text, "console", lambda: console)
    told = msgspec.to_builtins(HEALTHY.overview())
    with agreement_watch.Screen() as screen:
        screen.look(told, HEALTHY.overview())
        screen.lost("connection refused")
    text = console.export_text()
    assert "✓ All replicas agree as of 58 s ago" in text
    assert "? unknown: nothing was heard since " in text
    assert "last known: All replicas agree as of 58 s ago" in text
