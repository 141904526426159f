"""Opening a node's store in the one order that is safe, between its directory and its database.

lock, identity, start count (DataDirectory.open) → open and verify the database → note that it was made → serve
… → store.close() → directory.mark_clean(), only if that raised nothing → directory.close()
"""

from collections.abc import Callable

from dynkv.core.errors import StartError
from dynkv.runtime import Clock
from dynkv.storage.base import Durability
from dynkv.storage.committer import RETRY_EVERY_S
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.rocks import RocksStore, Tuning


def open_store(
    directory: DataDirectory,
    durability: Durability,
    *,
    clock: Clock,
    on_reopened: Callable[[], None] | None = None,
    tuning: Tuning = Tuning(),  # noqa: B008 - frozen, so one for all is safe
    retry_every_s: float = RETRY_EVERY_S,
) -> RocksStore:
    """The store of `directory`, made if it never had one. Called on the loop, which it holds while the log is replayed.

    `on_reopened` runs on the loop after a failure was overcome; `directory.incarnation` is the new one by then.
    DamagedDirectory, DirectoryInUse, StartError.
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
    try:
        if directory.fresh:
            directory.made()
    except OSError as error:
        store.abandon()
        raise StartError(f"cannot use the data directory {directory.path}: {error.strerror}") from error
    return store
