"""The hello: both sides prove the secret; whatever differs is refused with a reason on both sides."""

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from dynkv.core.errors import BadFrame
from dynkv.peer.handshake_messages import Accepted, Handshake, Hello, Proof, Refused, Welcome
from dynkv.peer.hello import ClientHello, Proven, ServerHello, Step, Us, proof_key
from dynkv.peer.refusals import KNOWN_MAX, Refusals

MEMBERS = {"n1", "n2", "n3"}
SECRET = proof_key(b"a secret of the cluster")


def us(node: str, *, cluster: str = "c", key: bytes = SECRET) -> Us:
    return Us(node, cluster, key, int(node[1:]), int(node[1:]) * 1000)


def talk(client: ClientHello, server: ServerHello) -> tuple[Step, Step]:
    """Lets the two talk to the end; the last step of each side."""
    message: Handshake | None = client.first()
    ours = theirs = Step()
    while message is not None:
        theirs = server.receive(message)
        if theirs.send is None:
            break
        ours = client.receive(theirs.send)
        message = ours.send
    return ours, theirs


def refusals(client: Us, server: Us, expects: str = "n2") -> tuple[str, str]:
    ours, theirs = talk(ClientHello(client, expects, bytes(16)), ServerHello(server, MEMBERS, bytes(16)))
    assert ours.proven is None
    assert theirs.proven is None
    return ours.refusal, theirs.refusal


def test_two_members_prove_themselves_to_each_other() -> None:
    ours, theirs = talk(ClientHello(us("n1"), "n2", bytes(16)), ServerHello(us("n2"), MEMBERS, b"1" * 16))
    assert ours == Step(proven=Proven("n2", 2, 2000))
    assert theirs == Step(Accepted(), Proven("n1", 1, 1000))


@pytest.mark.parametrize(
    ("client", "server", "expects", "why"),
    [
        (us("n1", cluster="other"), us("n2"), "n2", "cluster 'other'"),
        (us("n1"), us("n3"), "n2", "looks for 'n2'; this is 'n3'"),
        (us("n2"), us("n2"), "n2", "two nodes of one id"),
        (us("n9"), us("n2"), "n2", "no member"),
        (us("n1", key=proof_key(b"wrong")), us("n2"), "n2", "does not prove"),
    ],
)
def test_what_differs_is_refused_with_one_reason_on_both_sides(client: Us, server: Us, expects: str, why: str) -> None:
    ours, theirs = refusals(client, server, expects)
    assert why in ours
    assert ours == theirs


def test_another_version_is_refused_by_its_number() -> None:
    hello = msgspec.structs.replace(ClientHello(us("n1"), "n2", bytes(16)).first(), version=7)
    step = ServerHello(us("n2"), MEMBERS, bytes(16)).receive(hello)
    assert "protocol version 7" in step.refusal
    assert step.send == Refused(step.refusal)


def test_a_server_without_the_secret_learns_nothing_and_is_refused_by_the_client() -> None:
    client = ClientHello(us("n1"), "n2", bytes(16))
    step = client.receive(Welcome("n2", bytes(16), bytes(32), 1, 1))
    assert "does not prove" in step.refusal
    assert isinstance(step.send, Refused)


def test_another_node_at_the_address_is_refused_by_the_client() -> None:
    client = ClientHello(us("n1"), "n2", bytes(16))
    step = client.receive(Welcome("n3", bytes(16), bytes(32), 1, 1))
    assert "is 'n3', not 'n2'" in step.refusal


def test_a_proof_sent_back_to_its_maker_or_used_again_proves_nothing() -> None:
    server = ServerHello(us("n2"), MEMBERS, b"1" * 16)
    hello = ClientHello(us("n1"), "n2", b"1" * 16).first()
    welcome = server.receive(hello).send
    assert isinstance(welcome, Welcome)
    assert server.receive(Proof(welcome.proof)).refusal, "the server's own proof"

    client = ClientHello(us("n1"), "n2", b"2" * 16)
    server = ServerHello(us("n2"), MEMBERS, b"3" * 16)
    answer = server.receive(client.first()).send
    assert isinstance(answer, Welcome)
    proof = client.receive(answer).send
    assert isinstance(proof, Proof)
    assert server.receive(proof).proven is not None
    later = ServerHello(us("n2"), MEMBERS, b"4" * 16)
    later.receive(client.first())
    assert later.receive(proof).refusal, "recorded on another connection"


def test_what_a_side_says_of_its_directory_is_proven_too() -> None:
    client = ClientHello(us("n1"), "n2", bytes(16))
    welcome = ServerHello(us("n2"), MEMBERS, bytes(16)).receive(client.first()).send
    assert isinstance(welcome, Welcome)
    assert client.receive(msgspec.structs.replace(welcome, start_count=99)).refusal


@pytest.mark.parametrize("message", [Accepted(), Proof(bytes(32)), Refused("why"), Welcome("n1", b"", b"", 1, 1)])
def test_a_server_takes_nothing_before_hello(message: Handshake) -> None:
    with pytest.raises(BadFrame, match="out of turn"):
        ServerHello(us("n2"), MEMBERS, bytes(16)).receive(message)


@pytest.mark.parametrize(
    "message", [Accepted(), Proof(bytes(32)), Hello(1, "c", "n2", "n1", bytes(16), 1, 1)], ids=repr
)
def test_a_client_takes_nothing_but_a_welcome_first(message: Handshake) -> None:
    with pytest.raises(BadFrame, match="out of turn"):
        ClientHello(us("n1"), "n2", bytes(16)).receive(message)


def test_a_second_hello_is_out_of_turn() -> None:
    server = ServerHello(us("n2"), MEMBERS, bytes(16))
    hello = ClientHello(us("n1"), "n2", bytes(16)).first()
    server.receive(hello)
    with pytest.raises(BadFrame, match="out of turn"):
        server.receive(hello)


def test_a_refusal_is_logged_once_per_peer_and_reason_until_the_peer_was_let_in() -> None:
    structlog.reset_defaults()
    refused = Refusals()
    with capture_logs() as lines:
        for _ in range(3):
            refused.note("n3", "cluster", by_us=True)
            refused.note("n3", "version", by_us=False)
        assert [line["event"] for line in lines] == ["refused a peer", "refused by a peer"]
        refused.forget("n3")
        refused.note("n3", "cluster", by_us=True)
        assert len(lines) == 3
        for number in range(2 * KNOWN_MAX):
            refused.note(f"stranger-{number}", "no member", by_us=True)
        assert len(lines) <= 3 + KNOWN_MAX
