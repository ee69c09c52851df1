"""
First-in-first-out queues.

    enqueue x
    dequeue         -> the head, which is gone; None: the queue was empty

Elements that were never dequeued cannot be told apart and are folded into one.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence

from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.models.model import (
    ILLEGAL,
    UNKNOWN,
    UNSEEN,
    Action,
    Kind,
    Machine,
    ModelError,
    Part,
    State,
    exact,
    not_of_model,
    observers,
    parts_by_key,
)


class QueueMachine:
    """One queue; the state is what is in it, the head first."""

    def __init__(
        self, initial: tuple[Hashable, ...], actions: Sequence[Action]
    ) -> None:
        self._dequeued = {action.result for action in actions if action.f == "dequeue"}
        self._given = frozenset(initial)
        self.initial: State = tuple(map(self._folded, initial))

    def _folded(self, element: Hashable) -> Hashable:
        return element if element in self._dequeued else UNSEEN

    def step(self, state: State, action: Action) -> State:
        """Return what is in the queue afterwards, or ILLEGAL."""
        assert isinstance(state, tuple), "the state of a queue is a tuple"
        if action.f == "enqueue":
            # What no dequeue took can only have been taken by one whose answer
            # never came; behind it nothing else can be.
            return (*state, self._folded(action.argument))
        if action.result is None:
            return ILLEGAL if state else state
        if not state or action.result not in {UNKNOWN, state[0]}:
            return ILLEGAL
        return state[1:]

    def kind(self, action: Action) -> Kind:
        """An empty queue is an observation; adding to it is always possible."""
        if action.f == "enqueue":
            return Kind.UPDATES
        return Kind.OBSERVES if action.result is None else Kind.DEPENDS

    def separable(self, actions: Sequence[Action]) -> Iterator[Sequence[int]]:
        """
        Yield observations of emptiness, and all that concerns one element.

        Leaving an element out changes neither the order of the others nor what
        is at the head when they are taken.  A dequeue whose answer never came
        may have taken any element, which must not become another one; one that
        was there from the beginning cannot be left out.
        """
        yield from observers(self, actions)
        if any(action.result is UNKNOWN for action in actions):
            return
        elements: dict[Hashable, list[int]] = {}
        for position, action in enumerate(actions):
            element = action.argument if action.f == "enqueue" else action.result
            if element is not None and element not in self._given:
                elements.setdefault(element, []).append(position)
        yield from elements.values()


class QueueModel:
    """A queue for each key."""

    name = "queue"

    def action(self, operation: Operation) -> Action | None:
        """
        Return what *operation* does to its queue.

        Raises:
            ModelError: It is neither enqueue nor dequeue, or enqueues nothing.
        """
        if operation.f == "enqueue" and operation.argument is not None:
            return Action("enqueue", exact(operation.argument))
        if operation.f == "dequeue":
            if operation.outcome is Outcome.INFO:
                return Action("dequeue", None, UNKNOWN)
            return Action("dequeue", None, exact(operation.result))
        known = "enqueue element (not nothing), dequeue -> element or nothing"
        raise not_of_model(operation, self.name, known)

    def parts(self, operations: Iterable[Operation]) -> list[Part]:
        """Return a part for each key."""
        return parts_by_key(operations)

    def machine(self, initial: Value, actions: Sequence[Action]) -> Machine:
        """
        Return a queue of the elements of *initial*, or an empty one.

        Raises:
            ModelError: *initial* is neither a list nor None.
        """
        if initial is None:
            return QueueMachine((), actions)
        if not isinstance(initial, tuple):
            msg = f"a queue begins with a list of its elements: {initial!r}"
            raise ModelError(msg)
        return QueueMachine(tuple(map(exact, initial)), actions)
