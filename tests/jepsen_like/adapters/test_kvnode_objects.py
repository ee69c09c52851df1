"""Operations of histories as calls of objects, and what errors mean for them."""

import pytest

from jepsen_like.adapters.kvnode_objects import ObjectsClient, Points
from jepsen_like.history.operation import Value as Told
from jepsen_like.system import FailedError
from jepsen_like.system import IndeterminateError as MayHaveHappenedError
from kvnode.errors import (
    IndeterminateError,
    KvError,
    NotLeaderError,
    ObjectRaisedError,
)
from kvnode.object_values import Value


class Objects:
    """Objects that answer what they are told to."""

    def __init__(self, *answers: Value) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[Value, ...]] = []

    async def call(
        self, name: str, method: str, *arguments: Value, idempotency_key: str = ""
    ) -> Value:
        """Note a call."""
        self.calls.append((name, method, *arguments, idempotency_key))
        return self._answer()

    async def bookmark(self, name: str) -> str:
        """Note it."""
        self.calls.append((name, "its bookmark"))
        return str(self._answer())

    async def restore(self, name: str, bookmark: str) -> str:
        """Note it."""
        self.calls.append((name, "restored to", bookmark))
        return str(self._answer())

    def _answer(self) -> Value:
        answer = self.answers.pop(0)
        if isinstance(answer, KvError):
            raise answer
        return answer

    async def close(self) -> None:
        """Do nothing."""


def client_of(objects: Objects, points: Points | None = None) -> ObjectsClient:
    """Return a client of process 7."""
    points = {} if points is None else points
    return ObjectsClient(objects, "7 n1", points, now=lambda: 1000, close=objects.close)


@pytest.mark.parametrize(
    ("f", "argument", "answer", "call", "told"),
    [
        ("read", None, 5, ("k", "read", ""), 5),
        ("write", 5, None, ("k", "write", 5, ""), None),
        ("cas", (None, 5), True, ("k", "swap", None, 5, ""), True),
        ("add", 5, 9, ("k", "add", 5, "7 n1 1"), None),
        ("value", None, 9, ("k", "value", ""), 9),
        ("txn", (("r", "k/0", None),), [["r", "k/0", [1, 2]]], None, None),
        (
            "transfer",
            ("k/0", "k/1", 5),
            None,
            ("k", "transfer", "k/0", "k/1", 5, ""),
            0,
        ),
        ("insert", 1, None, ("k", "remind", 1, 1037, ""), None),
        ("members", None, [1], ("k", "remembered", ""), (1,)),
        ("members", "settled", [1], ("k", "remembered", "end", ""), (1,)),
    ],
)
async def test_operation_calls_a_method(
    f: str, argument: Told, answer: Value, call: tuple[Value, ...] | None, told: Told
) -> None:
    """Of the object that the key names."""
    objects = Objects(answer)

    said = await client_of(objects).invoke(f, "k", argument)

    if f == "txn":
        call, told = (
            ("k", "transact", [["r", "k/0", None]], ""),
            (("r", "k/0", (1, 2)),),
        )
    assert objects.calls == [call]
    assert said.value == (told or None)


@pytest.mark.parametrize(
    ("f", "argument", "error", "told"),
    [
        ("write", 1, NotLeaderError("no"), FailedError),
        ("write", 1, IndeterminateError("?"), MayHaveHappenedError),
        ("write", 1, ObjectRaisedError("!", type_name="E"), MayHaveHappenedError),
        ("read", None, IndeterminateError("?"), FailedError),
        ("bookmark", "point 1", IndeterminateError("?"), FailedError),
        (
            "transfer",
            ("k/0", "k/1", 5),
            ObjectRaisedError("!", type_name="NoFundsError"),
            FailedError,
        ),
    ],
)
async def test_error_is_told_as_what_it_says_of_the_operation(
    f: str, argument: Told, error: KvError, told: type[Exception]
) -> None:
    """What changes nothing has not happened, whatever became of it."""
    with pytest.raises(told):
        await client_of(Objects(error)).invoke(f, "k", argument)


async def test_every_other_addition_is_sent_again_under_its_key() -> None:
    """Though it has been answered; what comes of that is of no interest."""
    objects = Objects(1, 2, IndeterminateError("?"), 3)
    client = client_of(objects)

    for _ in range(3):
        await client.invoke("add", "k", 1)

    keys = [call[-1] for call in objects.calls]
    assert keys == ["7 n1 1", "7 n1 2", "7 n1 2", "7 n1 3"]


async def test_names_of_points_stand_for_what_the_object_has_called_them() -> None:
    """Whoever was told; what undoes a restore has the name that the restore gave it."""
    objects, points = Objects("b1", "u1", "u2"), dict[tuple[str, str], str]()
    one, other = (client_of(objects, points) for _ in range(2))

    await one.invoke("bookmark", "k", "point 1")
    await other.invoke("restore", "k", ("point 1", "point 2"))
    await one.invoke("restore", "k", ("point 2", "point 3"))

    assert objects.calls == [
        ("k", "its bookmark"),
        ("k", "restored to", "b1"),
        ("k", "restored to", "u1"),
    ]


async def test_object_is_not_restored_to_what_has_no_name() -> None:
    """Nor to a point of another object; in doubt, what would undo it has none."""
    objects, points = (
        Objects("b1", IndeterminateError("?")),
        dict[tuple[str, str], str](),
    )
    client = client_of(objects, points)
    await client.invoke("bookmark", "k", "point 1")

    with pytest.raises(FailedError, match="point 1 stands for nothing"):
        await client.invoke("restore", "another", ("point 1", "point 2"))
    with pytest.raises(MayHaveHappenedError):
        await client.invoke("restore", "k", ("point 1", "point 2"))
    with pytest.raises(FailedError, match="point 2 stands for nothing"):
        await client.invoke("restore", "k", ("point 2", "point 3"))

    assert len(objects.calls) == 2


async def test_operation_that_is_none_is_refused() -> None:
    """A mistake in a plan is no failure of objects."""
    with pytest.raises(ValueError, match="frobnicate"):
        await client_of(Objects()).invoke("frobnicate", "k", None)
