"""Opening and closing a node's disk in the one order that is safe.

    lock and identity → (set the database aside) → open and verify the database → note that it is made
    sync and close the database → mark the stop as clean → unlock

The clean mark comes after the last sync and only if that succeeded; a start count and, after an unclean stop, a new
incarnation are durable before the store exists, so before anything can be served.
"""

import asyncio
from pathlib import Path
from typing import Self

from dynkv.core.errors import StartError, StoreWriteFailed
from dynkv.runtime import Random
from dynkv.storage.incarnation import DataDirectory
from dynkv.storage.rocks import RocksStore, Tuning


class Disk:
    """A node's directory and the store in it, open."""

    def __init__(self, directory: DataDirectory, store: RocksStore) -> None:
        self.directory = directory
        self.store = store

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        node_id: str,
        cluster_id: str,
        partitions: int,
        random: Random,
        relaxed: bool = False,
        rebuild: bool = False,
        tuning: Tuning = Tuning(),  # noqa: B008 - frozen, so one for all is safe
    ) -> Self:
        """`relaxed`: durability. `rebuild`: set the data aside and begin with none. StartError says what to do."""
        directory = DataDirectory.open(path, node_id, cluster_id, partitions, random, rebuild=rebuild)

        def renew(reason: str) -> None:
            directory.new_incarnation(reason)

        try:
            store = await RocksStore.open(
                directory.database, create=directory.fresh, renew=renew, relaxed=relaxed, tuning=tuning
            )
            try:
                directory.made()
            except OSError as error:
                await store.close()
                raise StartError(f"cannot use the data directory {path}: {error.strerror}") from error
        except BaseException:
            directory.close()
            raise
        return cls(directory, store)

    async def close(self) -> None:
        """Stop cleanly. StoreWriteFailed if that was not possible: the next start counts as one after a crash."""
        try:
            await self.store.close()
            await asyncio.to_thread(self.directory.mark_clean)
        except OSError as error:
            raise StoreWriteFailed(f"cannot mark the stop as clean: {error.strerror}") from error
        finally:
            self.directory.close()
