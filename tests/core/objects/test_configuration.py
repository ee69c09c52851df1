"""Configurations: who has a majority, what follows upon what, and their bytes."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.configuration import (
    REPLICAS_MAX,
    Configuration,
    has_majority,
)
from kvnode.core.objects.configuration_codec import (
    EPOCH_END,
    decode_configuration,
    encode_configuration,
)
from kvnode.errors import CorruptRecordError
from kvnode.types import ReplicaId

replica_ids = st.integers(1, (1 << 64) - 1).map(ReplicaId)
groups = st.sets(replica_ids, min_size=1, max_size=REPLICAS_MAX)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """Whatever an authority may hold."""
    replicas = tuple(sorted(draw(groups)))
    former = tuple(sorted(draw(st.sets(replica_ids, max_size=REPLICAS_MAX))))
    epoch = draw(st.integers(1, EPOCH_END - 1))
    return Configuration(epoch, draw(st.sampled_from(replicas)), replicas, former)


@given(configuration=configurations())
def test_configuration_comes_back_from_its_bytes(configuration: Configuration) -> None:
    """And equal ones have equal bytes: authorities compare these."""
    data = encode_configuration(configuration)

    assert decode_configuration(data) == configuration
    assert encode_configuration(decode_configuration(data)) == data


@given(data=st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_other_bytes_are_refused(data: bytes) -> None:
    """Somebody else may have written there."""
    with pytest.raises(CorruptRecordError):
        decode_configuration(data)


@pytest.mark.parametrize(
    "text",
    [
        '{"epoch":0,"leader":"1","replicas":["1"],"former":[]}',
        '{"epoch":"1","leader":"1","replicas":["1"],"former":[]}',
        '{"epoch":1,"leader":"2","replicas":["1"],"former":[]}',
        '{"epoch":1,"leader":"1","replicas":[],"former":[]}',
        '{"epoch":1,"leader":"1","replicas":["2","1"],"former":[]}',
        '{"epoch":1,"leader":"1","replicas":["1","1"],"former":[]}',
        '{"epoch":1,"leader":"0","replicas":["0"],"former":[]}',
        '{"epoch":1,"leader":1,"replicas":[1],"former":[]}',
        '{"epoch":1,"leader":"1","replicas":["1"]}',
        "[]",
    ],
)
def test_configuration_that_cannot_be_is_refused(text: str) -> None:
    """Leading by it could not be undone."""
    with pytest.raises(CorruptRecordError, match="no configuration"):
        decode_configuration(text.encode())


@given(configuration=configurations())
def test_each_lead_has_an_epoch_of_its_own(configuration: Configuration) -> None:
    """The end of a move alone does not begin one."""
    replicas = configuration.replicas

    following = configuration.epoch + 1
    assert configuration.taken_over_by(replicas[-1]).epoch == following
    assert (
        configuration.moved_to(replicas, replicas[0]).epoch == configuration.epoch + 1
    )
    assert configuration.arrived.epoch == configuration.epoch


@given(configuration=configurations(), replicas=groups)
def test_move_keeps_who_has_the_log_until_it_arrives(
    configuration: Configuration, replicas: set[ReplicaId]
) -> None:
    """However often it is begun anew, and whoever takes over meanwhile."""
    moving = configuration.moved_to(replicas, min(replicas))
    again = moving.taken_over_by(max(replicas)).moved_to(replicas, max(replicas))

    assert moving.electorate == again.electorate == configuration.electorate
    assert again.arrived.electorate == tuple(sorted(replicas))


@pytest.mark.parametrize("size", range(1, REPLICAS_MAX + 1))
def test_who_seals_meets_who_committed(size: int) -> None:
    """Any two majorities share one: so nothing committed is missed."""
    replicas = tuple(map(ReplicaId, range(1, size + 1)))
    configuration = Configuration(1, replicas[0], replicas)
    groups = [set(some) for n in range(size + 1) for some in combinations(replicas, n)]
    sealing = [some for some in groups if configuration.is_sealed_by(some)]
    holding = [some for some in groups if has_majority(some, replicas)]

    assert all(one & other for one in sealing for other in holding)
    assert min(map(len, holding)) == size // 2 + 1


def test_strangers_do_not_count() -> None:
    """Who is not of the shard may have answered all the same."""
    assert not has_majority({ReplicaId(1), ReplicaId(8), ReplicaId(9)}, (1, 2, 3))  # type: ignore[arg-type]
