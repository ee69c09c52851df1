"""Electorates for tests of voters: a, b, c; then d for c; then e for a."""

from hypothesis import strategies as st

from kvnode.core.objects.caspaxos import NOTHING, Accepted, Ballot, VoterState
from kvnode.core.objects.voters.electorate import VOTERS_MAX, Electorate, Member, View
from kvnode.types import ReplicaId

MEMBERS = {name: Member(ReplicaId(n), name) for n, name in enumerate("abcde", 1)}
FIRST = Electorate.founded_by([MEMBERS[name] for name in "abc"])
SECOND = FIRST.with_replaced("c", MEMBERS["d"])
THIRD = SECOND.with_replaced("a", MEMBERS["e"])

identities = st.integers(1, (1 << 64) - 1).map(ReplicaId)
numbers = st.integers(1, (1 << 48) - 1)
names = st.text(min_size=1, max_size=20)
ballots = st.builds(Ballot, numbers, identities)
accepted = st.one_of(
    st.just(NOTHING), st.builds(Accepted, ballots, st.binary(max_size=50))
)
views = st.builds(View, identities, numbers)


@st.composite
def states(draw: st.DrawFn) -> VoterState:
    """What a voter can hold of a register."""
    held = draw(accepted)
    return VoterState(max(held.ballot, draw(ballots)), held)


@st.composite
def electorates(draw: st.DrawFn) -> Electorate:
    """Who can vote."""
    count = draw(st.integers(1, VOTERS_MAX))
    voters = draw(st.lists(identities, min_size=count, max_size=count, unique=True))
    places = draw(st.lists(names, min_size=count, max_size=count, unique=True))
    members = map(Member, sorted(voters), places)
    return Electorate(draw(views), tuple(members))


registers = st.dictionaries(st.text(max_size=10), states(), max_size=5)
