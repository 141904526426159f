"""When a failed read is taken for damage, and when for a fault that may pass."""

from dynkv.storage.damage import PERSISTS_S, SPOTS_MAX, DamageWatch

CORRUPTION = "Corruption: block checksum mismatch: stored = 1, computed = 2  in db/000011.sst offset 4038 size 332"
EIO = "IO error: While pread offset {} len 337: db/000011.sst: Input/output error"


class HandClock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def wall_ms(self) -> int:
        return 0


def _watch() -> tuple[DamageWatch, HandClock, list[str]]:
    clock = HandClock()
    watch = DamageWatch(clock)
    told: list[str] = []
    watch.hook = told.append
    return watch, clock, told


def test_corruption_is_told_at_once_and_once() -> None:
    watch, _, told = _watch()
    watch.read_failed(CORRUPTION)
    watch.read_failed(CORRUPTION)
    watch.found("something else")
    assert told == [CORRUPTION]


def test_nobody_to_tell_yet_is_no_telling() -> None:
    watch, _, told = _watch()
    watch.hook = None
    watch.read_failed(CORRUPTION)
    watch.hook = told.append
    watch.read_failed(CORRUPTION)
    assert told == [CORRUPTION]


def test_an_io_error_is_damage_when_the_same_spot_fails_for_long() -> None:
    watch, clock, told = _watch()
    for _ in range(5):
        watch.read_failed(EIO.format(0))
        clock.time += (PERSISTS_S - 1) / 5
    assert told == []
    watch.read_failed(EIO.format(4096))  # another spot has a time of its own
    clock.time += 1.5
    watch.read_failed(EIO.format(4096))
    assert told == []
    watch.read_failed(EIO.format(0))
    assert told == [EIO.format(0)]


def test_other_failures_say_nothing_of_the_files() -> None:
    watch, clock, told = _watch()
    for said in (
        "IO error: While open a file for random read: db/000011.sst: Too many open files",
        "DB instance already closed",
        "Already borrowed",
    ):
        watch.read_failed(said)
        clock.time += 2 * PERSISTS_S
        watch.read_failed(said)
    assert told == []


def test_the_memory_of_spots_is_bounded() -> None:
    watch, clock, told = _watch()
    for offset in range(SPOTS_MAX + 1):
        watch.read_failed(EIO.format(offset))
    clock.time += PERSISTS_S
    watch.read_failed(EIO.format(0))  # forgotten, so seen for the first time
    assert told == []
    watch.read_failed(EIO.format(SPOTS_MAX))
    assert told == [EIO.format(SPOTS_MAX)]
