"""The data directory of one node: whose it is, how many lives it had, and whether the last one ended well.

    lock             held while the process lives; its text is the pid
    identity.json    the facts below, replaced as a whole: written aside, synced, renamed, directory synced
    db/              the database
    db.aside-N/      databases set aside by a rebuild or a salvage; nothing here ever deletes them
    db.salvage/      a copy that a salvage is making; removed by the next start
    db.salvaged/     such a copy, whole: it takes the place of db/, at once or by the next start

An incarnation is a random id for one unbroken life of the data. Actors are valid only under the incarnation that
minted them (DESIGN, causality), so a new one must be on disk before anything is served whenever the copies may have
gone back: after an unclean stop, a store reopened after a failure, data set aside or salvaged, or when peers remember a
later start count.

The start count tells an old copy of the directory, put back, from the directory (see membership), but not a copy of a
running node's, as a snapshot of its disk is: nothing was counted since. So a node that runs for long *counts on* every
few hours (see marks), as if it had been started: a copy made before that is an old one too.

An old copy of db/ alone, put back beside the identity, is told from it by its changes: every database has an id and
numbers them, and the identity says how many were durable at the last start, mark or clean stop. A database that ends
before that is refused, as a missing one is, and so is another one. The number is a lower bound: it is written after
what it counts was synced.

A clean stop writes `clean` last; a start consumes it with the same write that raises the start count. A crash anywhere
in between leaves the stop unclean, which is always safe.

A salvage (see dynkv/storage/rocks/salvage.py) goes through one narrow door, the renaming of `db.salvage` to
`db.salvaged`. Before it, the identity says that the data is incomplete and names a new incarnation: true of the copy,
harmless for the old database, which a crash leaves in its place to be salvaged again. Behind it, whoever opens the
directory first sets `db` aside and puts the copy there, so the old one is never served again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec
import structlog

from dynkv.core.errors import DamagedDirectory, StartError, WrongDirectory
from dynkv.runtime import Random
from dynkv.storage.base import Durable
from dynkv.storage.files import Files, LocalFiles
from dynkv.storage.watermark import damaged

log = structlog.get_logger("dynkv.storage")

FORMAT = 1
LIVES_MAX = 64
_UNOPENED: dict[str, Any] = Durable("", 0)._asdict()


class _Identity(msgspec.Struct, forbid_unknown_fields=True):
    """identity.json. `made`: db/ exists and may have been served from. `lives`: random ids of the newest starts, oldest
    first. `database`, `sequence`: as in Durable, what is known of db/. The others as in DataDirectory."""

    format: int
    node: str
    cluster: str
    partitions: int
    incarnation: int
    start_count: int
    clean: bool
    made: bool
    complete: bool
    lives: list[int]
    database: str = ""
    sequence: int = 0


class DataDirectory:
    """A node's data directory, locked. Its methods block on the disk for a few milliseconds; one thread at a time."""

    def __init__(
        self, path: Path, let_go: Callable[[], None], identity: _Identity, random: Random, files: Files
    ) -> None:
        self.path = path
        self.was_clean = identity.clean
        """Whether the stop before this start was a clean one: saved trees may be used."""
        self._let_go: Callable[[], None] | None = let_go
        self._identity = identity
        self._random = random
        self._files = files

    @classmethod
    def open(
        cls,
        path: str | Path,
        node_id: str,
        cluster_id: str,
        partitions: int,
        random: Random,
        *,
        rebuild: bool = False,
        files: Files | None = None,
    ) -> Self:
        """Lock the directory, made if missing, and begin a new life in it, durable on return.

        `rebuild` sets the database aside first, damaged or missing as it may be. `files`: this machine's, unless given.
        DirectoryInUse, WrongDirectory, DamagedDirectory; StartError if it cannot be used at all.
        """
        path = Path(path)
        files = files or LocalFiles()
        try:
            files.make_directory(path)
            let_go = files.lock(path)
        except OSError as error:
            raise StartError(f"cannot use the data directory {path}: {error.strerror}") from error
        try:
            identity = _load(files, path, node_id, cluster_id, partitions)
            directory = cls(path, let_go, identity, random, files)
            directory._begin_life(rebuild=rebuild)
        except OSError as error:
            let_go()
            raise StartError(f"cannot use the data directory {path}: {error.strerror}") from error
        except BaseException:
            let_go()
            raise
        return directory

    @property
    def database(self) -> Path:
        """Where the database is, or is to be made."""
        return self.path / "db"

    @property
    def fresh(self) -> bool:
        """Whether the database is still to be made; see `opened`."""
        return not self._identity.made

    @property
    def incarnation(self) -> int:
        return self._identity.incarnation

    @property
    def start_count(self) -> int:
        """Starts of this directory, this one included, and how often it counted on within them. An older copy of the
        directory has a smaller one."""
        return self._identity.start_count

    @property
    def lives(self) -> tuple[int, ...]:
        """Random ids of the newest starts, oldest first, the last of this one, or of when it counted on last. A copy of
        the directory that was started as often has others."""
        return tuple(self._identity.lives)

    @property
    def counted(self) -> tuple[int, tuple[int, ...]]:
        """`start_count` and the `lives` that go with it."""
        identity = self._identity
        return identity.start_count, tuple(identity.lives)

    @property
    def complete(self) -> bool:
        """Whether this node has lost nothing that it once acknowledged; false from `set_aside` until told otherwise."""
        return self._identity.complete

    def opened(self, durable: Durable) -> None:
        """The database is open: from now on one that is missing is damage, not a beginning, and so is another one or an
        older copy. DamagedDirectory if this is such a one."""
        identity = self._identity
        if identity.database and durable.database != identity.database:
            raise damaged(self.database, "it is not the one that was here")
        if durable.sequence < identity.sequence:
            ends = f"it ends at change {durable.sequence}, but {identity.sequence} changes were durable"
            raise damaged(self.database, f"it is an old copy, or was cut: {ends}")
        if not identity.made or durable != (identity.database, identity.sequence):
            self._change(made=True, **durable._asdict())

    def set_complete(self, complete: bool) -> None:
        if complete != self._identity.complete:
            self._change(complete=complete)

    def new_incarnation(self, reason: str) -> int:
        """Take a new incarnation, durable on return, and say why in the log."""
        self._change(incarnation=self._random.u64())
        log.warning("new incarnation", incarnation=self.incarnation, reason=reason)
        return self.incarnation

    def count_on(self, durable: Durable) -> None:
        """A copy of this directory, or of its database, that was made before is an old one, durably so on return."""
        self._change(**self._counted_on(), **durable._asdict())

    def went_back(self, seen_start_count: int) -> None:
        """A peer has seen a later start of this directory, so it is an old copy: set its data aside, and count on from
        there. The store must be closed."""
        self.set_aside(f"this directory went back in time: a peer has seen start {seen_start_count}")
        # The lives so far are those of the copy, not of the directory that the peers know: they are no history.
        self._change(start_count=max(self.start_count, seen_start_count) + 1, lives=[self._random.u64()])

    def set_aside(self, reason: str) -> Path | None:
        """Rename the database, which must be closed, out of the way, and begin anew with nothing; its new name."""
        aside = None
        if self._files.exists(self.database):
            # Renamed first: a crash before the next line leaves a missing database, which is refused, not an empty one.
            aside = self._free_name()
            self._files.rename(self.database, aside)
        self._change(made=False, complete=False, incarnation=self._random.u64(), **_UNOPENED)
        self.was_clean = False
        log.warning("data set aside", to=str(aside), incarnation=self.incarnation, reason=reason)
        return aside

    def begin_salvage(self) -> Path:
        """Where a copy of what can be read is to be made; what an earlier attempt left there is gone."""
        self._remove_unfinished()
        return self._salvage

    def take_salvaged(self, reason: str, *, lost: bool) -> Path | None:
        """Put the copy, whole and closed, in place of the database, which must be closed, and begin a new life with it;
        where the old one is now. `lost`: the copy lacks something. OSError leaves what was not done to the next start.
        """
        life = self._next_life(self._random.u64())
        self._change(complete=self.complete and not lost, **life, **_UNOPENED)
        self.was_clean = False
        self._files.sync(self._salvage)
        self._files.rename(self._salvage, self._salvaged)
        aside = self._put_salvaged_in_place()
        log.warning("data replaced by what was salvaged", aside=str(aside), incarnation=self.incarnation, reason=reason)
        return aside

    def mark_clean(self, durable: Durable) -> None:
        """The stop is clean: everything is on disk. The last thing to be written."""
        self._change(clean=True, **durable._asdict())

    def close(self) -> None:
        """Let another process have the directory."""
        if self._let_go is not None:
            self._let_go()
            self._let_go = None

    def _begin_life(self, *, rebuild: bool) -> None:
        identity = self._identity
        if self._files.exists(self._salvaged):
            log.warning("an interrupted salvage is brought to its end", aside=str(self._put_salvaged_in_place()))
        self._remove_unfinished()
        if rebuild:
            self.set_aside("asked to rebuild from replicas")
        elif identity.made and not self._files.is_directory(self.database):
            raise damaged(self.database, "it is missing")
        elif not identity.made and self._files.exists(self.database):
            # A crash in the middle of the first start: nothing was served from it yet.
            self._files.rename(self.database, self._free_name())
        if identity.start_count and not identity.clean:
            log.warning("unclean stop", start_count=identity.start_count)
        kept = identity.clean and not rebuild
        self._change(**self._next_life(identity.incarnation if kept else self._random.u64()))

    def _next_life(self, incarnation: int) -> dict[str, object]:
        return {**self._counted_on(), "clean": False, "incarnation": incarnation}

    def _counted_on(self) -> dict[str, object]:
        identity = self._identity
        lives = [*identity.lives, self._random.u64()][-LIVES_MAX:]
        return {"start_count": identity.start_count + 1, "lives": lives}

    @property
    def _salvage(self) -> Path:
        return self.path / "db.salvage"

    @property
    def _salvaged(self) -> Path:
        return self.path / "db.salvaged"

    def _remove_unfinished(self) -> None:
        if self._files.exists(self._salvage):
            self._files.remove(self._salvage)

    def _put_salvaged_in_place(self) -> Path | None:
        aside = None
        if self._files.exists(self.database):  # else a crash came between the two renamings
            aside = self._free_name()
            self._files.rename(self.database, aside)
        self._files.rename(self._salvaged, self.database)
        return aside

    def _free_name(self) -> Path:
        number = 1
        while self._files.exists(aside := self.path / f"db.aside-{number}"):
            number += 1
        return aside

    def _change(self, **facts: object) -> None:
        identity = msgspec.structs.replace(self._identity, **facts)
        said = msgspec.json.format(msgspec.json.encode(identity)) + b"\n"
        self._files.replace(self.path / "identity.json", said)
        self._identity = identity


def _load(files: Files, path: Path, node_id: str, cluster_id: str, partitions: int) -> _Identity:
    try:
        data = files.read(path / "identity.json")
    except FileNotFoundError:
        if files.exists(path / "db"):
            raise DamagedDirectory(
                f"{path} holds a database but no identity.json, so nobody can tell whose it is. Restore that file, or "
                "move db away and let the node fetch its records from their replicas"
            ) from None
        return _Identity(
            FORMAT, node_id, cluster_id, partitions, 0, 0, clean=False, made=False, complete=True, lives=[]
        )
    try:
        identity = msgspec.json.decode(data, type=_Identity)
    except msgspec.MsgspecError as error:
        raise DamagedDirectory(f"{path}/identity.json is damaged: {error}. Restore it, or empty {path}") from error
    if identity.format != FORMAT:
        raise WrongDirectory(f"{path} is of format {identity.format}; this version of dynkv reads format {FORMAT}")
    for what, theirs, ours in (
        ("node", identity.node, node_id),
        ("cluster", identity.cluster, cluster_id),
        ("partition count", identity.partitions, partitions),
    ):
        if theirs != ours:
            raise WrongDirectory(f"{path} belongs to {what} {theirs!r}, not {ours!r}: give this node its own directory")
    return identity
