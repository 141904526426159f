"""How RocksDB is set up; the reasons stand in the package's essay and beside each line."""

import msgspec
from rocksdict import (
    BlockBasedOptions,
    Cache,
    DataBlockIndexType,
    DBCompressionType,
    DBRecoveryMode,
    Env,
    Options,
)

KIB, MIB = 1 << 10, 1 << 20

# What the rate allows in so long is written at once. One of so many turns is a merge's when memtables wait too.
FILES_PERIOD_US = 2_000
FILES_FAIRNESS = 10


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes. Larger memtables mean fewer, larger files and a longer log to replay; they and the cache are memory."""

    memtable_bytes: int = 16 * MIB
    memtables: int = 3  # one being filled, the others being written out
    cache_bytes: int = 8 * MIB
    files_bytes_per_s: int = 128 * MIB  # written to files, of memtables and merges together; the log is not held to it
    reserve_bytes: int = 64 * MIB  # room that must be free again before a full disk is tried anew


def options_for(tuning: Tuning, *, create: bool) -> Options:
    """Options to open a database, or to `create` one where there is none."""
    table = BlockBasedOptions()
    table.set_block_cache(Cache(tuning.cache_bytes))
    table.set_block_size(4 * KIB)
    table.set_format_version(6)  # checksums that cover the footer and a block's place too
    table.set_data_block_index_type(DataBlockIndexType.binary_and_hash())
    table.set_data_block_hash_ratio(0.75)
    # Every first write of a key asks for it: whole-key filters answer that without touching a data block. Filters and
    # indexes are whole and belong to the open file, not to the cache: about 8 bytes of memory a key of 1 KiB, for half
    # the time of a get (2.2 and 7.4 us for an absent and a present key with partitioned ones, 1.2 and 4.1 us so).
    table.set_bloom_filter(10, False)
    table.set_cache_index_and_filter_blocks(False)

    env = Env()
    env.lower_thread_pool_cpu_priority()
    env.lower_thread_pool_io_priority()

    options = Options(raw_mode=True)
    options.set_env(env)
    options.create_if_missing(create)
    options.set_error_if_exists(create)
    options.set_paranoid_checks(True)
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(tuning.memtable_bytes)
    options.set_max_write_buffer_number(tuning.memtables)
    options.set_memtable_whole_key_filtering(True)  # the same for what is not in a file yet
    options.set_memtable_prefix_bloom_ratio(0.05)
    options.set_allow_concurrent_memtable_write(False)  # there is one writer
    options.set_enable_write_thread_adaptive_yield(False)
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_level_zero_file_num_compaction_trigger(8)  # merging at 4 costs a fifth more in all
    options.set_max_bytes_for_level_base(256 * MIB)  # a level less to merge through and to look into
    options.set_level_zero_slowdown_writes_trigger(200)
    options.set_level_zero_stop_writes_trigger(200)
    options.set_soft_pending_compaction_bytes_limit(0)
    options.set_hard_pending_compaction_bytes_limit(0)
    # A file written out at once would hold up the log's syncs, of all nodes on this disk: 8 MiB for 9 ms.
    options.set_bytes_per_sync(512 * KIB)
    options.set_ratelimiter(tuning.files_bytes_per_s, FILES_PERIOD_US, FILES_FAIRNESS)
    options.set_max_log_file_size(MIB)
    options.set_keep_log_file_num(2)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options
