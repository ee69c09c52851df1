"""
Models: what a sequence of operations means, one after another.

A model says how the operations of a history act on a state: which are legal in it
and what they leave behind.  It knows nothing of time, clients and concurrency.  An
operation is first reduced to its *action*: what it does and what was observed, as
far as that binds anybody.  An operation whose answer never came (`INFO`) observed
nothing: its action may be taken at any time after the call, or never, so it is
enough to say what it does when it does something.

A *machine* is a model bound to the actions of one part of a history.  That lets it
fold together states that nothing in this part can tell apart, such as all values
of a register that nobody ever read; the verdict stays the same and the search
becomes much smaller.

Reference:
    Herlihy & Wing, 1990.  Linearizability: a correctness condition for concurrent
        objects.  Section 2: sequential specifications.
    Horn & Kroening, 2015.  Faster linearizability checking via P-compositionality.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple, Protocol, TypeAlias

from jepsen_like.history.operation import Key, Operation, Value

State: TypeAlias = Hashable
"""What an object holds; equal states have equal futures."""


class Mark(Enum):
    """States and results that are no values."""

    ILLEGAL = "illegal"  # a step that cannot be taken
    UNSEEN = "unseen"  # states that no observation of this part can be made in
    UNKNOWN = "unknown"  # a result that nobody was told
    UNNAMED = "unnamed"  # what a name stands for that has not been given
    TRUE = "true"  # the truth value, which Python takes for the number 1
    FALSE = "false"  # the same for 0


ILLEGAL: Final = Mark.ILLEGAL
UNSEEN: Final = Mark.UNSEEN
UNKNOWN: Final = Mark.UNKNOWN
UNNAMED: Final = Mark.UNNAMED


class ModelError(ValueError):
    """Operations or an initial value that a model has no meaning for."""


class Kind(Enum):
    """
    What an action may do in any state; the searches prune by it.

    OBSERVES never changes the state.  ERASES is legal in every state and leaves
    the same state behind whatever it found.  UPDATES is legal in every state.
    DEPENDS is all the rest.
    """

    OBSERVES = "observes"
    ERASES = "erases"
    UPDATES = "updates"
    DEPENDS = "depends"


class Action(NamedTuple):
    """
    What an operation does, and what it saw.

    Attributes:
        f: The name of what is done.
        argument: With what.
        result: What came of it; UNKNOWN if nobody was told.
    """

    f: str
    argument: Hashable
    result: Hashable = None


class Part(NamedTuple):
    """
    Operations that have nothing to do with those of any other part.

    Attributes:
        key: What they are about.
        operations: In order of their calls; those that `FAIL`ed are not there.
    """

    key: Key
    operations: Sequence[Operation]


class Machine(Protocol):
    """A model bound to the actions of one part."""

    @property
    def initial(self) -> State:
        """What there is before anything is done."""

    def step(self, state: State, action: Action) -> State:
        """Return what *action* leaves behind in *state*, or ILLEGAL."""

    def kind(self, action: Action) -> Kind:
        """Return what *action* may do in any state."""

    def separable(self, actions: Sequence[Action]) -> Iterator[Sequence[int]]:
        """
        Yield groups of positions, each of which can be left out as a whole.

        To leave a group out is sound when every legal sequence of *actions* is
        still legal without it; then what contradicts itself without the group
        does so with it too.  Groups do not overlap, and any number of them may
        be left out together.
        """


class Model(Protocol):
    """What operations mean."""

    @property
    def name(self) -> str:
        """How users select it, as `Header.model` says it."""

    def action(self, operation: Operation) -> Action | None:
        """
        Return what *operation*, which did not fail, does.

        Returns:
            None if it binds nobody, such as a read that was never answered.

        Raises:
            ModelError: The model has no such operation.
        """

    def parts(self, operations: Iterable[Operation]) -> list[Part]:
        """Divide *operations*, none of which failed, so that no part needs another."""

    def machine(self, initial: Value, actions: Sequence[Action]) -> Machine:
        """
        Bind the model to the *actions* of one part.

        Args:
            initial: `Header.initial`.
            actions: All that will be asked about.

        Raises:
            ModelError: *initial* cannot be the state of this model.
        """


def parts_by_key(operations: Iterable[Operation]) -> list[Part]:
    """Return a part for each key, in order of the first call to it."""
    parts: dict[Key, list[Operation]] = {}
    for operation in operations:
        key = operation.key
        if key in parts:
            parts[key].append(operation)
        else:
            parts[key] = [operation]
    return [Part(key, part) for key, part in parts.items()]


def not_of_model(operation: Operation, model: str, known: str) -> ModelError:
    """Return the error to raise for an *operation* that *model* does not have."""
    msg = (
        f"the model {model} has no operation {operation.f!r} with argument "
        f"{operation.argument!r} and result {operation.result!r}; it knows {known}"
    )
    return ModelError(msg)


def exact(value: Value) -> Hashable:
    """Return *value* such that true is not 1 and false is not 0."""
    if value.__class__ is not bool:
        return value
    return Mark.TRUE if value else Mark.FALSE


def observers(machine: Machine, actions: Sequence[Action]) -> Iterator[Sequence[int]]:
    """Yield the position of each of *actions* that only observes, in any model."""
    for position, action in enumerate(actions):
        if machine.kind(action) is Kind.OBSERVES:
            yield (position,)
