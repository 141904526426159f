"""A stream cut into pieces: frames of the protocol between nodes, each whole, or bytes as they come."""

from typing import NamedTuple, Protocol

from dynkv.peer.messages import FRAME_BYTES_MAX
from dynkv.peer.wire import LENGTH_BYTES

# Of each side's frames the first two are of the hello.
HELLO_FRAMES = 2


class Piece(NamedTuple):
    """Bytes that travel together. is_frame: may be lost, doubled and overtaken."""

    data: bytes
    is_frame: bool


class Cutter(Protocol):
    """One direction of one connection."""

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that `data` completes."""
        ...

    def finish(self) -> list[Piece]:
        """The stream ended: what is left of it."""
        ...


class Bytes:
    """Every piece as it came."""

    def feed(self, data: bytes) -> list[Piece]:
        return [Piece(data, False)]

    def finish(self) -> list[Piece]:
        return []


class Frames:
    """Whole frames. A length that no frame has makes the rest of the stream bytes: whether a node takes them is its
    own affair, and nothing more is held back here for them."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._seen = 0
        self._lost_count = False

    def feed(self, data: bytes) -> list[Piece]:
        if self._lost_count:
            return [Piece(data, False)]
        held = self._held
        held += data
        pieces = []
        start = 0
        while len(held) - start >= LENGTH_BYTES:
            length = int.from_bytes(held[start : start + LENGTH_BYTES], "big")
            if length > FRAME_BYTES_MAX:
                self._lost_count = True
                break
            end = start + LENGTH_BYTES + length
            if end > len(held):
                break
            self._seen += 1
            pieces.append(Piece(bytes(held[start:end]), self._seen > HELLO_FRAMES))
            start = end
        del held[:start]
        return [*pieces, *self.finish()] if self._lost_count else pieces

    def finish(self) -> list[Piece]:
        left = [Piece(bytes(self._held), False)] if self._held else []
        self._held.clear()
        return left
