"""The first frames of a connection, without I/O: who is there, and can both prove that they know the cluster's secret?

    client                                   server
      Hello    version, cluster, ids, nonce →
                                           ←  Welcome   nonce, proof of the server
      Proof    proof of the client          →
                                           ←  Accepted
    either side, in place of its next frame:  Refused    reason

A proof is a keyed hash over the role, the protocol version, the cluster, both ids, both nonces, and what both say of
their data directories. The role keeps a proof from being sent back to its maker, the nonces from being used twice, the
ids from being used with somebody else. The secret itself never travels. A connection belongs to the node that proved
it, whatever address it came from or was reached at.

Each side is an object fed with the other's frames; each answers with a `Step`. A frame out of turn is a BadFrame.
"""

import hashlib
import hmac
from collections.abc import Container
from typing import NamedTuple

import msgspec

from dynkv.core.errors import BadFrame
from dynkv.peer.handshake_messages import (
    PROOF_BYTES,
    PROTOCOL_VERSION,
    Accepted,
    Handshake,
    Hello,
    Proof,
    Refused,
    Welcome,
)
from dynkv.peer.messages import REASON_LENGTH_MAX


class Us(NamedTuple):
    """What this node says of itself. `key` is the secret as `proof_key` makes it."""

    node: str
    cluster: str
    key: bytes
    start_count: int
    incarnation: int

    def __repr__(self) -> str:
        return f"Us({self.node!r}, {self.cluster!r})"  # the key must not reach a log or a traceback


class Proven(NamedTuple):
    """The other side, once it has proved itself."""

    node: str
    start_count: int
    incarnation: int


class Step(NamedTuple):
    """What a frame leads to: send this; the other side is proven; or it is over, for this reason (of either side)."""

    send: Handshake | None = None
    proven: Proven | None = None
    refusal: str = ""


def proof_key(secret: bytes) -> bytes:
    """The key of proofs: derived, so that a secret of any length will do and other uses of it stay apart."""
    return hashlib.blake2b(secret, digest_size=32, person=b"dynkv hello").digest()


class ClientHello:
    """The side that connected and means to reach the node `expects`."""

    def __init__(self, us: Us, expects: str, nonce: bytes) -> None:
        self._us = us
        self._hello = Hello(PROTOCOL_VERSION, us.cluster, us.node, expects, nonce, us.start_count, us.incarnation)
        self._proven: Proven | None = None

    @property
    def claimed(self) -> str:
        """The other side's id for the log: here the one we look for."""
        return self._hello.expects

    def first(self) -> Hello:
        """The frame to begin with."""
        return self._hello

    def receive(self, message: Handshake) -> Step:
        """The other side sent `message`."""
        if isinstance(message, Refused):
            return Step(refusal=message.reason or "no reason given")
        if isinstance(message, Welcome) and self._proven is None:
            return self._welcome(message)
        if isinstance(message, Accepted) and self._proven is not None:
            return Step(proven=self._proven)
        raise BadFrame(f"{type(message).__name__} out of turn")

    def _welcome(self, welcome: Welcome) -> Step:
        hello = self._hello
        if welcome.node != hello.expects:
            return _refuse(f"the node at this address is {welcome.node!r}, not {hello.expects!r}")
        if not hmac.compare_digest(welcome.proof, _proof(self._us.key, "server", hello, welcome)):
            return _refuse(f"{welcome.node} does not prove the cluster's secret")
        self._proven = Proven(welcome.node, welcome.start_count, welcome.incarnation)
        return Step(Proof(_proof(self._us.key, "client", hello, welcome)))


class ServerHello:
    """The side that was connected to. `members`: the ids it lets in."""

    def __init__(self, us: Us, members: Container[str], nonce: bytes) -> None:
        self._us = us
        self._members = members
        self._nonce = nonce
        self._hello: Hello | None = None
        self._welcome: Welcome | None = None

    @property
    def claimed(self) -> str:
        """The other side's id for the log: what it says, proven or not."""
        return self._hello.node if self._hello is not None else "?"

    def receive(self, message: Handshake) -> Step:
        """The other side sent `message`."""
        if isinstance(message, Refused) and self._hello is not None:
            return Step(refusal=message.reason or "no reason given")
        if isinstance(message, Hello) and self._hello is None:
            return self._check(message)
        if isinstance(message, Proof) and self._hello is not None and self._welcome is not None:
            return self._prove(message, self._hello, self._welcome)
        raise BadFrame(f"{type(message).__name__} out of turn")

    def _check(self, hello: Hello) -> Step:
        us = self._us
        self._hello = hello
        if hello.version != PROTOCOL_VERSION:
            return _refuse(f"protocol version {hello.version}; {us.node} speaks version {PROTOCOL_VERSION}")
        if hello.cluster != us.cluster:
            return _refuse(f"cluster {hello.cluster!r}; {us.node} belongs to cluster {us.cluster!r}")
        if hello.expects != us.node:
            return _refuse(f"looks for {hello.expects!r}; this is {us.node!r}")
        if hello.node == us.node:
            return _refuse(
                f"says that it is {us.node!r}, as is this node: two nodes of one id, or a node's own address"
            )
        if hello.node not in self._members:
            return _refuse(f"{hello.node!r} is no member known to {us.node!r}")
        unproven = Welcome(us.node, self._nonce, bytes(PROOF_BYTES), us.start_count, us.incarnation)
        self._welcome = msgspec.structs.replace(unproven, proof=_proof(us.key, "server", hello, unproven))
        return Step(self._welcome)

    def _prove(self, proof: Proof, hello: Hello, welcome: Welcome) -> Step:
        if not hmac.compare_digest(proof.proof, _proof(self._us.key, "client", hello, welcome)):
            return _refuse(f"{hello.node} does not prove the cluster's secret")
        return Step(Accepted(), Proven(hello.node, hello.start_count, hello.incarnation))


def _refuse(reason: str) -> Step:
    reason = reason[:REASON_LENGTH_MAX]
    return Step(Refused(reason), refusal=reason)


def _proof(key: bytes, role: str, hello: Hello, welcome: Welcome) -> bytes:
    # An encoding that tells its parts apart: no two different conversations give the same bytes.
    said = (
        role,
        hello.version,
        hello.cluster,
        hello.node,
        welcome.node,
        hello.nonce,
        welcome.nonce,
        (hello.start_count, hello.incarnation),
        (welcome.start_count, welcome.incarnation),
    )
    return hashlib.blake2b(msgspec.msgpack.encode(said), key=key, digest_size=PROOF_BYTES).digest()
