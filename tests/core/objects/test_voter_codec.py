"""What voters say as bytes: there and back, and nothing else gets in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.caspaxos import (
    NO_BALLOT,
    Accept,
    Accepted,
    Ballot,
    Look,
    Prepare,
    Promise,
    Refusal,
    Shown,
    Stored,
    VoterState,
)
from kvnode.core.objects.voters import message_codec
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.core.objects.voters.fields import (
    NUMBER_END,
    FieldReader,
    decode_electorate,
    encode_electorate,
    encode_state,
)
from kvnode.core.objects.voters.message_codec import (
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from kvnode.core.objects.voters.messages import (
    REGISTER_NAME_BYTES_MAX,
    REGISTER_VALUE_BYTES_MAX,
    Enlist,
    Inquire,
    Install,
    Report,
    Seal,
    Standing,
    Vote,
    Voted,
    VoterAnswer,
    VoterRequest,
)
from kvnode.errors import CorruptRecordError, PeerProtocolError
from kvnode.types import ReplicaId
from tests.core.objects.voters_at_hand import (
    FIRST,
    SECOND,
    THIRD,
    accepted,
    ballots,
    electorates,
    identities,
    names,
    registers,
    states,
    views,
)

OWN = ReplicaId(7)
BALLOT = Ballot(3, OWN)

requests: st.SearchStrategy[VoterRequest] = st.one_of(
    st.just(Inquire()),
    st.just(Enlist()),
    st.builds(Vote, views, st.text(max_size=20), st.builds(Look, ballots)),
    st.builds(Vote, views, st.text(max_size=20), st.builds(Prepare, ballots)),
    st.builds(
        Vote,
        views,
        st.text(max_size=20),
        st.builds(Accept, ballots, st.binary(max_size=50)),
    ),
    st.builds(Seal, electorates()),
    st.builds(Install, electorates(), registers),
)


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    """What a voter can be."""
    electorate = draw(st.none() | electorates())
    successor = draw(st.none() | electorates())
    if electorate is None or electorate.view.number + 1 >= NUMBER_END:
        successor = None
    if successor is not None and electorate is not None:
        successor = Electorate(electorate.view.next, successor.members)
    return Standing(
        draw(identities),
        tuple(draw(st.lists(names, max_size=5))),
        draw(st.booleans()),
        draw(st.none() | electorates()),
        electorate,
        successor,
    )


answers: st.SearchStrategy[VoterAnswer] = st.one_of(
    standings(),
    st.builds(
        Voted,
        identities,
        views,
        st.one_of(
            st.builds(Shown, ballots, states()),
            st.builds(Promise, ballots, accepted),
            st.builds(Stored, ballots),
            st.builds(Refusal, ballots, ballots),
        ),
    ),
    st.builds(Report, identities, electorates(), registers),
)


@given(requests)
def test_request_is_what_it_was(request_: VoterRequest) -> None:
    """After its bytes."""
    assert decode_request(encode_request(request_)) == request_


@given(answers)
def test_answer_is_what_it_was(answer: VoterAnswer) -> None:
    """After its bytes."""
    assert decode_answer(encode_answer(answer)) == answer


@given(electorates())
def test_electorate_is_what_it_was(electorate: Electorate) -> None:
    """As the value of a register."""
    assert decode_electorate(encode_electorate(electorate)) == electorate


@given(states())
def test_state_of_a_register_is_what_it_was(state: VoterState) -> None:
    """On disk and in reports."""
    assert FieldReader(encode_state(state)).state() == state


@given(data=st.data(), message=requests)
def test_damaged_request_is_another_one_or_none(
    data: st.DataObject, message: VoterRequest
) -> None:
    """Whatever a peer sends, nothing but PeerProtocolError comes of it."""
    damaged = bytearray(encode_request(message))
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    for each in (bytes(damaged), cut):
        try:
            decode_request(each)
        except PeerProtocolError:
            continue


@given(data=st.data(), message=answers)
def test_damaged_answer_is_another_one_or_none(
    data: st.DataObject, message: VoterAnswer
) -> None:
    """Whatever a peer sends, nothing but PeerProtocolError comes of it."""
    damaged = bytearray(encode_answer(message))
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] = data.draw(st.integers(0, 255))
    try:
        decode_answer(bytes(damaged))
    except PeerProtocolError:
        return


ACCEPT = encode_request(Vote(FIRST.view, "s", Accept(BALLOT, b"v")))
SEAL = encode_request(Seal(SECOND))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "index"),
        (b"\x63", "99 is not a valid"),
        (b"\x10", "STANDING is no request"),
        (ACCEPT[:-1], "1 bytes too soon"),
        (ACCEPT + b"x", "1 bytes too many"),
        (
            encode_request(Vote(FIRST.view, "s", Prepare(NO_BALLOT))),
            "empty ballot is nobody's",
        ),
        (
            encode_request(Vote(FIRST.view, "s", Prepare(Ballot(0, OWN)))),
            "half of a ballot",
        ),
        (
            encode_request(Vote(FIRST.view, "s", Prepare(Ballot(NUMBER_END, OWN)))),
            "is not below",
        ),
        (
            encode_request(
                Vote(FIRST.view, "s" * (REGISTER_NAME_BYTES_MAX + 1), Prepare(BALLOT))
            ),
            "201 is not below",
        ),
        (
            encode_request(
                Vote(
                    FIRST.view,
                    "s",
                    Accept(BALLOT, bytes(REGISTER_VALUE_BYTES_MAX + 1)),
                )
            ),
            "is not below",
        ),
        (
            encode_request(Vote(FIRST.view._replace(number=0), "s", Prepare(BALLOT))),
            "numbered from 1",
        ),
        (SEAL.replace(b"\x01b", b"\x01a"), "not in order, or not apart"),
        (b"\x04" + bytes(8) + SEAL[9:], "0 is nobody"),
        (
            encode_request(
                Install(FIRST, {"s": VoterState(NO_BALLOT, Accepted(BALLOT, b""))})
            ),
            "was not promised",
        ),
    ],
)
def test_bytes_that_no_voter_is_sent_are_refused(data: bytes, why: str) -> None:
    """With the reason."""
    with pytest.raises(PeerProtocolError, match=why):
        decode_request(data)


def test_registers_stand_in_order_and_once() -> None:
    """Equal reports are equal bytes."""
    state = VoterState(BALLOT)
    data = encode_answer(Report(OWN, FIRST, {"p": state, "q": state}))

    for other in (data.replace(b"\x01q", b"\x01p"), data.replace(b"\x01q", b"\x01o")):
        with pytest.raises(PeerProtocolError, match="stands behind"):
            decode_answer(other)


@pytest.mark.parametrize("electorate", [None, FIRST])
def test_successor_is_of_the_next_view(electorate: Electorate | None) -> None:
    """What follows from it is taken for granted elsewhere."""
    standing = Standing(OWN, (), False, None, electorate, THIRD)  # noqa: FBT003

    with pytest.raises(PeerProtocolError, match="followed by the next"):
        decode_answer(encode_answer(standing))


def test_request_is_no_answer() -> None:
    """Each has kinds of its own."""
    with pytest.raises(PeerProtocolError, match="ACCEPT is no answer"):
        decode_answer(
            b"\x03" + encode_answer(Voted(OWN, FIRST.view, Stored(BALLOT)))[1:]
        )


def test_message_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks into larger ones."""
    monkeypatch.setattr(message_codec, "MESSAGE_BYTES_MAX", len(ACCEPT) - 1)

    with pytest.raises(PeerProtocolError, match="more than a voter's request"):
        decode_request(ACCEPT)


@pytest.mark.parametrize("data", [b"", b"what", encode_electorate(FIRST) + b"x"])
def test_register_of_succession_that_holds_something_else_is_damaged(
    data: bytes,
) -> None:
    """Rather than taken for no successor."""
    with pytest.raises(CorruptRecordError, match="no electorate"):
        decode_electorate(data)
