"""Whether there is a node of dynkv at a URL, asked once before much is built upon it (`dynkv check`, `dynkv bench`)."""

from collections.abc import Iterable

from dynkv.cli.call import call
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.key_request import refusal

GREETING_S = 10.0


def greet(urls: Iterable[str]) -> None:
    """Failure if one of them is no URL of a node, or nobody answers there, or something else than dynkv does."""
    for url in urls:
        answer = call(url, "GET", "/nodes", timeout_s=GREETING_S)
        if answer.status != 200:
            raise refusal(answer)
        nodes = answer.json()
        if not isinstance(nodes, dict) or "nodes" not in nodes:
            raise Failure(Exit.UNREACHABLE, f"{url}: this is not dynkv: no nodes in its answer")
