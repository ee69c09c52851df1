"""Calls of which one try may have happened: what is told when the others fail."""

from typing import Any, cast

import pytest

from cluster.simulated.running import run as run_simulated
from kvnode.api.objects_port import Call
from kvnode.errors import (
    IndeterminateError,
    KvError,
    OverloadedError,
    UnavailableError,
)
from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from kvnode.runtime.objects.router import Router

TARGET = ObjectId.from_name("Counter", "c")


class Elsewhere:
    """All that a router stands on: node b leads, and answers as it is told to."""

    own = 1

    def __init__(self, answers: list[KvError]) -> None:
        self.answers = answers

    def shard_of(self, _target: ObjectId, _home: str | None) -> str:
        """Return the only shard."""
        return "s000"

    def leads(self, _shard: str) -> bool:
        """Lead nothing here."""
        return False

    def has_replica(self, _shard: str) -> bool:
        """Have one here, which knows who leads."""
        return True

    def leader(self, _shard: str) -> int:
        """Return node b."""
        return 2

    def name_of(self, _replica: int) -> str:
        """Return its name."""
        return "b"

    async def call(self, _node: str, _call: Call) -> Value:
        """Fail in the next way, and in the last one for ever."""
        raise self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def told(key: str, *answers: KvError) -> KvError:
    """Return what the caller is told when node b answers so."""

    async def main(_cluster: object) -> KvError:
        around = cast("Any", Elsewhere(list(answers)))
        router = Router(around, around, around, around, around)
        with pytest.raises(KvError) as caught:
            await router.call(Call(TARGET, "add", idempotency_key=key))
        return caught.value

    return run_simulated(main, nodes=())


@pytest.mark.parametrize("refusal", [UnavailableError("gone"), OverloadedError("full")])
def test_refusal_does_not_settle_what_an_earlier_try_left_open(
    refusal: KvError,
) -> None:
    """The first try may have been committed, though nobody leads any more."""
    doubt = IndeterminateError("no answer")

    assert told("k", doubt, refusal) is doubt


def test_refusals_alone_say_that_nothing_has_happened() -> None:
    """However often they come."""
    assert isinstance(told("k", UnavailableError("gone")), UnavailableError)


def test_call_without_a_key_is_not_tried_again() -> None:
    """It might happen twice."""
    doubt = IndeterminateError("no answer")

    assert told("", doubt, UnavailableError("gone")) is doubt
