"""The Store on RocksDB. The only package that knows rocksdict; everything said here was measured with its 0.3.29.

What blocks. `get`, `put` and `write` hold the GIL; `flush_wal`, `flush` and `close` release it; opening holds it (about
4 ms per MB of log to replay). So writes go without sync on the loop (5 µs), and one background thread syncs. A method
called while `close` runs in another thread raises "Already borrowed": reads during a reopen fail, as they should.

What must not block. A write stall would hold the loop and the GIL, so writes say `no_slowdown`: RocksDB then refuses at
once, before anything is written, which becomes StoreBusy. The triggers of level 0 are set high enough that only a disk
slower than the writes brings it about. Compaction runs on a thread of low priority, and files are written at a rate
(128 MiB/s in steps of 2 ms): a memtable written out at full speed, or a merge, held up the syncs of every node on the
disk for 6 to 12 ms; a quarter of these are left.

What is refused. Recovery mode "tolerate corrupted tail": a record with a wrong checksum anywhere in the log is refused,
a cut end is not; the default mode silently drops what follows a damaged spot. What even this mode lets pass is caught
by the watermark (see there). A missing CURRENT would begin an empty database, so `create_if_missing` is set for new
directories only.

Reading. A damaged block makes `get` raise, and an iterator stop as if it were at its end, so its status is asked after
every scan. An iterator that is alive keeps the directory locked after close; none outlives a call here. A file found
damaged is not lived with: the node ends its life and salvages what can be read (see salvage, walk).

Memory. A memtable of 16 MB, up to three while they are written out: of a million new keys of 200 bytes, written in
batches, one of 8 MB costs a fifth more of processor time in all (3.2 and 2.7 s), because merges are twice as many.
Index and filters are whole and belong to the open files: about 8 bytes of memory for a key of 1 KiB (80 MB for ten
million), for half the time of every get. In a cache of 8 MB they would not do: one larger than a shard of it (512 KiB)
is read and unpacked again for each get (130 us). lz4 costs a get nothing measurable and takes a third of the space on
JSON.
"""

from dynkv.storage.rocks.options import Tuning
from dynkv.storage.rocks.salvage import Report, salvage
from dynkv.storage.rocks.store import RocksStore
from dynkv.storage.rocks.walk import Stretch

__all__ = ["Report", "RocksStore", "Stretch", "Tuning", "salvage"]
