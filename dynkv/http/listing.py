"""GET /kv/{bucket}: the keys of a bucket, streamed, each once, without those that are deleted.

    GET /kv/{bucket}?prefix=&limit=&cursor=&r=&timeout=

    prefix     only keys that begin with these bytes, percent-encoded as in a path
    limit      1..1000000: no more keys than this; left out: all there are
    cursor     goes on where the answer that gave it ended; with the same bucket and prefix, at any node, at any time
    r          1..n, one, quorum, all: how many primaries of each partition must answer; left out: the bucket's
    timeout    1..60000 ms: how long the listing may get no further before it gives up; left out: 5000

The order is that of partitions, and within one of keys as bytes: always the same, so that it can be resumed, but not
alphabetical over the whole bucket. A key that is there all the while is listed exactly once; one that is written or
deleted meanwhile may be in it or not. By `Accept`, all streamed in the same constant memory:

    application/json (otherwise)    {"bucket": "b", "keys": ["k1", "caf%C3%A9", …],
                                     "count": 2, "complete": true, "missing": [], "cursor": null}
    application/x-ndjson            {"key": "k1"}                                       a line for each key, then
                                    {"count": 2, "complete": true, "missing": [], "cursor": null}
    application/cbor-seq            h'6b31'                                             a byte string for each key, then
                                    {"count": 2, "complete": true, "missing": [], "cursor": null}

Keys are bytes. In JSON they are percent-encoded: all but letters, digits and -._~, so they can be put into a path as
they are.

What the end says, and without that end an answer is cut off and says nothing (nor has its last chunk come):

    complete   whether nothing is missing among what this answer went over
    missing    [{"partition": 7, "why": "…"}]: too few of its primaries could be asked, or answered in time
    cursor     null if all is told. Else it goes on behind `limit`, and does over what was missing, and only that: asking
               until it is null lists every key exactly once, as long as the partitions come back.

If nothing can be listed the answer is 503, with who said what: an empty 200 means that there are no such keys.
A cursor is opaque. It is checked to be of this bucket and prefix and undamaged, else it is a 400; it grants nothing.
"""
