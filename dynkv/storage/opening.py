"""Opening a node's store in the one order that is safe, between its directory and its database.

lock, identity, start count (DataDirectory.open) → open and verify the database → note what it is and where it ends
→ serve … → store.close() → directory.mark_clean(), only if that raised nothing → directory.close()

When files are found damaged: store.close(), whatever it raises → `salvage_store` → `open_store` again, a new life.
"""

from collections.abc import Callable

import structlog

from dynkv.core.errors import DamagedDirectory, StartError
from dynkv.runtime import Clock
from dynkv.storage.background import Background
from dynkv.storage.base import Durability
from dynkv.storage.committer import RETRY_EVERY_S
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.rocks import Report, RocksStore, Stretch, Tuning, salvage

log = structlog.get_logger("dynkv.storage")

KEY_TOLD = 64
STRETCHES_TOLD = 5


def open_store(
    directory: DataDirectory,
    durability: Durability,
    *,
    clock: Clock,
    on_reopened: Callable[[], None] | None = None,
    on_damaged: Callable[[str], None] | None = None,
    tuning: Tuning = Tuning(),  # noqa: B008 - frozen, so one for all is safe
    retry_every_s: float = RETRY_EVERY_S,
) -> RocksStore:
    """The store of `directory`, made if it never had one. Called on the loop, which it holds while the log is replayed.

    `on_reopened` runs on the loop after a failure was overcome; `directory.incarnation` is the new one by then.
    `on_damaged` as in Store. DamagedDirectory, DirectoryInUse, StartError.
    """

    def renew(reason: str) -> None:
        directory.new_incarnation(reason)

    store = RocksStore.open(
        directory.database,
        durability,
        create=directory.fresh,
        clock=clock,
        renew=renew,
        tuning=tuning,
        retry_every_s=retry_every_s,
    )
    store.on_reopened = on_reopened
    store.on_damaged = on_damaged
    try:
        directory.opened(store.durable)
    except DamagedDirectory:
        store.abandon()
        raise
    except OSError as error:
        store.abandon()
        raise StartError(f"cannot use the data directory {directory.path}: {error.strerror}") from error
    return store


async def salvage_store(
    directory: DataDirectory,
    reason: str,
    go_on: Callable[[], bool],
    *,
    tuning: Tuning = Tuning(),  # noqa: B008 - frozen, so one for all is safe
) -> Report | None:
    """Put what can be read of the directory's damaged database, which must be closed, in its place, off the loop; what
    was found. None if `go_on`, asked in that thread between small steps, said no: then nothing was changed.

    DamagedDirectory if it cannot be done.
    """
    reports: list[Report | None] = []

    def work() -> None:
        try:
            report = salvage(directory.database, directory.begin_salvage(), tuning, go_on)
            if report is not None:
                directory.take_salvaged(reason, lost=report.lost)
        except OSError as error:
            raise DamagedDirectory(
                f"the database in {directory.database} is damaged ({reason}), and the salvaged copy could not be put "
                f"in its place: {error.strerror}. Start the node again to have it tried anew"
            ) from error
        reports.append(report)

    background = Background("dynkv-salvage")
    try:
        await background.run(work)
    finally:
        background.stop()
    report = reports[0]
    if report is not None:
        log.warning(
            "salvaged",
            lost=report.lost,
            records=report.records,
            hints=report.hints,
            facts=report.facts,
            rescued=report.rescued,
            damaged_records=report.damaged_records,
            unreadable=report.unreadable,
            stretches=[_told(stretch) for stretch in report.stretches[:STRETCHES_TOLD]],
        )
    return report


def _told(stretch: Stretch) -> str:
    end = "the end" if stretch.end is None else repr(stretch.end[:KEY_TOLD])
    return f"{stretch.start[:KEY_TOLD]!r} to {end}: {stretch.why}"
