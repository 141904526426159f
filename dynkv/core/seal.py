"""Seals: bytes that leave the cluster as text, through clients, and are believed when they come back.

A sealed text is url-safe base64, without padding, of

    16 bytes   keyed blake2b over what it is about and the packed bytes
    the rest   the packed bytes

The key of the hash is derived from the cluster's secret and from what the seal is for, so a text that is damaged,
forged, of another use or another cluster fails before a byte of it is looked at.

The same bytes have one text: padding, other alphabets and loose last bits are refused although they decode to the same
bytes.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from hmac import compare_digest

import msgspec

_MAC_BYTES = 16
_TO_URL = bytes.maketrans(b"+/", b"-_")  # of bytes: str.translate looks each character up
_FROM_URL = str.maketrans("-_+/=", "+/   ")  # what the url-safe form has no use for becomes a blank, which is refused

_encode = msgspec.msgpack.Encoder().encode


class Broken(ValueError):
    """No text that this seal made. `why` goes on where the name of what was broken stands: "is damaged: ..."."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Seal:
    """Seals and opens texts of one kind in one cluster."""

    __slots__ = ("_foreign", "_keyed")

    def __init__(self, key: bytes, person: bytes, foreign: str) -> None:
        """`key` is the cluster's secret, of any length but empty; `person`, at most 16 bytes, sets this use of it apart
        from every other. `foreign` says in an error what a whole text that does not fit may be."""
        if not key:
            raise ValueError("an empty key authenticates nothing")
        derived = blake2b(key, digest_size=32, person=person).digest()
        self._keyed = blake2b(digest_size=_MAC_BYTES, key=derived)
        self._foreign = foreign

    def close(self, packed: bytes, *about: str | bytes) -> str:
        """The text of `packed`, good only together with the same `about`."""
        text = b2a_base64(self._mac(packed, about) + packed, newline=False)
        return text.rstrip(b"=").translate(_TO_URL).decode("ascii")

    def open(self, text: str, *about: str | bytes) -> bytes:
        """The bytes that were sealed. Broken."""
        padded = text.translate(_FROM_URL) + "=" * (-len(text) % 4)
        try:
            data = a2b_base64(padded, strict_mode=True)
        except (Base64Error, ValueError) as error:
            raise Broken("is damaged: not url-safe base64 without padding") from error
        mac, packed = data[:_MAC_BYTES], data[_MAC_BYTES:]
        if not compare_digest(mac, self._mac(packed, about)):
            raise Broken(f"is damaged, or {self._foreign}")
        if b2a_base64(data, newline=False) != padded.encode("ascii"):
            raise Broken("is damaged: its last character says more than it can")
        return packed

    def _mac(self, packed: bytes, about: tuple[str | bytes, ...]) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(_encode((*about, packed)))  # lengths included: no two tuples share their bytes
        return keyed.digest()
