"""What the links of a node did, for metrics: plain integers that only grow."""

from dataclasses import dataclass


@dataclass(slots=True)
class PeerCounters:
    """One per node, for all its peers together."""

    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    calls_in: int = 0
    calls_out: int = 0
    connects: int = 0
    """Connections proven, in either direction."""
    reconnects: int = 0
    """Of those, outgoing ones to a peer that had been connected before."""
    bad_frames: int = 0
    """Malformed frames; each closed its connection."""
    refused: int = 0
    """Hellos that either side refused."""
    unproven_closed: int = 0
    """Incoming connections closed before they proved anything: too slow, or too many at a time."""
    suspicions: int = 0
    """Times a connected peer fell silent."""
    timeouts: int = 0
    """Calls of ours without an answer by their deadline."""
    overloads_out: int = 0
    """Calls of ours refused here: the queue to that peer was full."""
    overloads_in: int = 0
    """Calls of peers refused here: too many in progress."""
    dropped_late: int = 0
    """Calls of peers past their deadline when they came."""
    repeated: int = 0
    """Calls of peers that came a second time while in progress."""
    repeats_out: int = 0
    """Calls of ours sent again, for want of an answer."""
    faults: int = 0
    """Handlers and callbacks of this node that raised: bugs."""
