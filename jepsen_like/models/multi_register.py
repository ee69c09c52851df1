"""
Several registers that are read and written together, as Knossos' multi-register.

    read            -> ((register, value), ...)
    write ((register, value), ...)
    txn ((f, register, value), ...)   with f read or write (or r, w), one after
                                      the other; reads as the result shows them

All of an operation happens at once.  Registers that no operation ties together,
directly or through others, are parts of their own; where each operation touches one
register only, that is the usual decomposition by key.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.models.model import (
    ILLEGAL,
    UNSEEN,
    Action,
    Kind,
    Machine,
    Part,
    State,
    exact,
    not_of_model,
    observers,
    parts_by_key,
)

_READS: Final = frozenset({"r", "read"})
_WRITES: Final = frozenset({"w", "write"})
_PAIR: Final = 2
_TRIPLE: Final = 3


class Access(NamedTuple):
    """One register read or written."""

    writes: bool
    register: Value
    value: Hashable


class MultiRegisterMachine:
    """Registers of one part; the state is their values, in a fixed order."""

    def __init__(self, initial: Value, actions: Sequence[Action]) -> None:
        accesses = [access for action in actions for access in _accesses(action)]
        registers = dict.fromkeys(access.register for access in accesses)
        self._place = {register: at for at, register in enumerate(registers)}
        self._seen = _observed(actions)
        given = _initial_of(initial)
        self.initial: State = tuple(
            self._folded(
                register,
                exact(given.get(register) if given is not None else initial),
            )
            for register in registers
        )

    def _folded(self, register: Hashable, value: Hashable) -> Hashable:
        return value if (register, value) in self._seen else UNSEEN

    def step(self, state: State, action: Action) -> State:
        """Return all values afterwards, or ILLEGAL."""
        assert isinstance(state, tuple), "the state is a tuple of values"
        values = list(state)
        for access in _accesses(action):
            place = self._place[access.register]
            if access.writes:
                values[place] = self._folded(access.register, access.value)
            elif values[place] != access.value:
                return ILLEGAL
        return tuple(values)

    def kind(self, action: Action) -> Kind:
        """Depend on how many of the registers are written, and if any is read."""
        accesses = _accesses(action)
        written = {access.register for access in accesses if access.writes}
        if not written:
            return Kind.OBSERVES
        if any(not access.writes for access in accesses):
            return Kind.DEPENDS
        return Kind.ERASES if len(written) == len(self._place) else Kind.UPDATES

    def separable(self, actions: Sequence[Action]) -> Iterator[Sequence[int]]:
        """Yield reads, and writes of nothing that is read."""
        yield from observers(self, actions)
        seen = _observed(actions)
        for position, action in enumerate(actions):
            accesses = _accesses(action)
            if all(access.writes for access in accesses) and not any(
                (access.register, access.value) in seen for access in accesses
            ):
                yield (position,)


class MultiRegisterModel:
    """Named registers; where operations have keys, each key has its own."""

    name = "multi-register"

    def action(self, operation: Operation) -> Action | None:
        """
        Return what *operation* does to its registers.

        Raises:
            ModelError: It is none of read, write and txn, or not of pairs or
                triples.
        """
        accesses = self._parsed(operation)
        if operation.outcome is Outcome.INFO:
            accesses = tuple(access for access in accesses if access.writes)
        return Action("access", accesses) if accesses else None

    def _parsed(self, operation: Operation) -> tuple[Access, ...]:
        f, result = operation.f, operation.result
        pending = operation.outcome is Outcome.INFO
        if f == "read" and pending:
            return ()
        if f in {"read", "write"}:
            given = operation.argument if f == "write" else result
            pairs = _tuples(given, _PAIR)
            if pairs is not None:
                writes = f == "write"
                return tuple(Access(writes, pair[0], exact(pair[1])) for pair in pairs)
        elif f == "txn":
            given = operation.argument if pending or result is None else result
            triples = _tuples(given, _TRIPLE)
            if triples is not None and all(
                triple[0] in _READS or triple[0] in _WRITES for triple in triples
            ):
                return tuple(
                    Access(triple[0] in _WRITES, triple[1], exact(triple[2]))
                    for triple in triples
                )
        known = (
            "read -> ((register, value), ...), write ((register, value), ...), "
            "txn ((read or write, register, value), ...)"
        )
        raise not_of_model(operation, self.name, known)

    def parts(self, operations: Iterable[Operation]) -> list[Part]:
        """Return a part for registers that hang together, of each key."""
        parts: list[Part] = []
        for key, key_operations in parts_by_key(operations):
            parts.extend(self._components(key, key_operations))
        return parts

    def _components(self, key: Key, operations: Sequence[Operation]) -> Iterator[Part]:
        leader: dict[Hashable, Hashable] = {}

        def find(register: Hashable) -> Hashable:
            while (above := leader.setdefault(register, register)) != register:
                leader[register] = leader[above]
                register = above
            return register

        touched = [self._parsed(operation) for operation in operations]
        for accesses in touched:
            for access in accesses:
                leader[find(access.register)] = find(accesses[0].register)
        parts: dict[Hashable, list[Operation]] = {}
        for operation, accesses in zip(operations, touched, strict=True):
            if accesses:
                part = parts.setdefault(find(accesses[0].register), [])
                part.append(operation)
        for part in parts.values():
            yield Part(key, part)

    def machine(self, initial: Value, actions: Sequence[Action]) -> Machine:
        """
        Return registers that hold *initial*.

        Pairs (register, value) say it for each, and None of the others; anything
        else is what each of them holds.
        """
        return MultiRegisterMachine(initial, actions)


def _accesses(action: Action) -> tuple[Access, ...]:
    assert isinstance(action.argument, tuple), "made by MultiRegisterModel.action"
    return action.argument


def _observed(actions: Sequence[Action]) -> frozenset[tuple[Hashable, Hashable]]:
    """Return the registers with the values that were read from them."""
    return frozenset(
        (access.register, access.value)
        for action in actions
        for access in _accesses(action)
        if not access.writes
    )


def _tuples(given: Value, length: int) -> tuple[tuple[Value, ...], ...] | None:
    """Return *given* if it is a list of lists of that *length*, else None."""
    if not isinstance(given, tuple):
        return None
    inner = tuple(item for item in given if isinstance(item, tuple))
    fits = len(inner) == len(given) and all(len(item) == length for item in inner)
    return inner if fits else None


def _initial_of(initial: Value) -> Mapping[Value, Value] | None:
    """Return what each register holds if *initial* says so for each, else None."""
    pairs = _tuples(initial, _PAIR)
    return None if pairs is None else {pair[0]: pair[1] for pair in pairs}
