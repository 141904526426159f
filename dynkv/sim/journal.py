"""The event log of a run: one line an event, in the order of virtual time, the same for the same seed.

    seconds  who  what happened  key=value ...

`who` is a node, a client, or the hand of fate (`fate`, for faults). What nodes log themselves is in it, from the level
that was asked for.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import structlog

from dynkv.sim.world import World

LEVELS = ("debug", "info", "warning", "error", "critical")


class Journal:
    """Lines are hashed always, and kept if `keep`; `tell` gets each as it comes."""

    def __init__(self, world: World, *, keep: bool = False, tell: Callable[[str], None] | None = None) -> None:
        self.lines: list[str] = []
        self.defects: list[str] = []
        """What a correct program never says: each is a failure of the run."""
        self.errors: dict[str, int] = {}
        """What nodes logged as errors, and how often."""
        self._world = world
        self._keep = keep or tell is not None
        self._tell = tell
        self._hash = hashlib.blake2b(digest_size=8)
        self._who: Callable[[], str] = lambda: "-"

    def digest(self) -> str:
        """Names the whole log: equal for equal runs."""
        return self._hash.hexdigest()

    def note(self, who: str, what: str, **more: object) -> None:
        line = f"{self._world.now:11.6f} {who:<7} {what}"
        if more:
            line += "".join(f" {name}={_shown(value)}" for name, value in more.items())
        self._hash.update(line.encode())
        if self._keep:
            self.lines.append(line)
            if self._tell is not None:
                self._tell(line)

    def defect(self, who: str, what: str, error: BaseException | None) -> None:
        """Something went wrong that must not."""
        text = f"{who}: {what}" if error is None else f"{who}: {what}: {type(error).__name__}: {error}"
        self.defects.append(text)

    @contextlib.contextmanager
    def taking(self, who: Callable[[], str]) -> Iterator[None]:
        """While this holds, what is logged through structlog goes here, under the name that `who` gives."""
        before = structlog.get_config()
        self._who = who
        structlog.configure(
            processors=[self._take],
            wrapper_class=structlog.make_filtering_bound_logger(20),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)

    def _take(self, logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        what = str(event.pop("event"))
        error = event.pop("exc_info", None)
        who = self._who()
        if who == "":
            raise structlog.DropEvent  # the last words of a process that is being killed
        if isinstance(error, BaseException):
            event["error"] = f"{type(error).__name__}: {error}"
            self.defect(who, what, error)
        if method in ("error", "critical", "exception"):
            self.errors[what] = self.errors.get(what, 0) + 1
            what = f"ERROR {what}"
        self.note(who, what, **event)
        return ""


def _shown(value: object) -> str:
    text = str(value)
    return repr(text) if " " in text or not text else text
