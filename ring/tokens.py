"""Tokens: where a key lies in the 64-bit token space, and which partition that is.

A token is the first 64 bits of MurmurHash3 x64-128 over the framed pair (bucket, key). The frame is

    length of the bucket's UTF-8 bytes, 4 bytes big-endian | the bucket's UTF-8 bytes | the key

so no two pairs share a frame: ("ab", b"c") and ("a", b"bc") differ in their first four bytes. A partition is the top
bits of the token, therefore partition p owns the tokens from p * 2^64 / Q up to the next one's, and doubling Q would
split every partition in two and move nothing between others.

MurmurHash3 is quick and even, not secret: who may choose keys can choose them all in one partition. That costs balance
and never correctness, and a hash keyed per cluster would make the published vectors (`vectors.json`) impossible.
"""

from functools import lru_cache

import mmh3

TOKEN_BITS = 64
TOKEN_SEED = 0x64796E6B  # "dynk"; part of the format: another seed is another placement of every key

PARTITIONS_MAX = 1 << 16
"""A partition has state of its own on each of its nodes (8 KiB of hash tree), so more would be a mistake."""


def token(bucket: str, key: bytes) -> int:
    """The token of a key: 0 <= token < 2^64. Total: any bucket and any key, empty ones too, have one."""
    return mmh3.hash64(_frame(bucket) + key, TOKEN_SEED, signed=False)[0]


def partition_of(token: int, partitions: int) -> int:
    """The partition that owns a token; `partitions` is the cluster's Q, a power of two."""
    return token >> (TOKEN_BITS + 1 - partitions.bit_length())


def check_partitions(partitions: int) -> int:
    """`partitions` itself if it can be a cluster's Q, else ValueError. Apart, so that `partition_of` stays a shift."""
    if not 1 <= partitions <= PARTITIONS_MAX or partitions & (partitions - 1):
        raise ValueError(f"partitions must be a power of two from 1 to {PARTITIONS_MAX}, not {partitions}")
    return partitions


@lru_cache(maxsize=1024)
def _frame(bucket: str) -> bytes:
    name = bucket.encode()
    return len(name).to_bytes(4, "big") + name
