"""
How long linearizability takes: registers, key-value stores, many small logs.

The histories come from objects that are right: an operation takes effect either
when it is called or when it returns, and some are never answered.  What breaks a
history is put in near its end, so that a judge that stops early gains nothing, and
is wrong for sure: it does not depend on what else happened.
"""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple, TypeAlias

from jepsen_like.benchmarks.section import Section
from jepsen_like.checkers.linearizable import check
from jepsen_like.history.history import Header, History
from jepsen_like.history.operation import FOREVER, Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict

_SEED: Final = 19_970_817
_LOGS: Final = 49
_LOG_VALUES: Final = 5

Judge: TypeAlias = Callable[[History], Judgement]


class _Asked(NamedTuple):
    """One operation to do; `may_be_lost` if its answer may never come."""

    f: str
    key: Key
    argument: Value
    may_be_lost: bool = False


class _Store(NamedTuple):
    """
    Who asks what of whom.

    Attributes:
        initial: What each key holds.
        draw: Makes the next operation.
        take_effect: Returns what a key holds afterwards, and the answer.
        workers: How many operations are open at once.
        lost: The share of answers that never come, where they may be lost.
    """

    initial: Value
    draw: Callable[[Random], _Asked]
    take_effect: Callable[[Any, _Asked], tuple[Any, Value]]
    workers: int
    lost: float = 0.0


class _Open(NamedTuple):
    """An operation that was called; *answer* is empty until it has taken effect."""

    asked: _Asked
    called: int
    answer: tuple[Value, ...]


def _operations(random: Random, store: _Store, count: int) -> Iterator[Operation]:
    """Yield *count* operations of *store*, as they end."""
    states: dict[Key, Any] = {}
    workers: list[_Open | None] = [None] * store.workers
    processes = list(range(store.workers))
    now, begun, ended = 0, 0, 0
    while ended < count:
        now += 1
        worker = int(random.random() * store.workers)
        opened = workers[worker]
        if opened is None:
            if begun == count:
                continue
            begun += 1
            asked = store.draw(random)
            answer: tuple[Value, ...] = ()
            if random.random() < 0.5:  # noqa: PLR2004 - half at the call
                before = states.get(asked.key, store.initial)
                states[asked.key], told = store.take_effect(before, asked)
                answer = (told,)
            workers[worker] = _Open(asked, now, answer)
            continue
        asked, called, answer = opened
        lost = asked.may_be_lost and random.random() < store.lost
        if not answer and not lost:
            before = states.get(asked.key, store.initial)
            states[asked.key], told = store.take_effect(before, asked)
            answer = (told,)
        yield Operation(
            processes[worker],
            asked.f,
            asked.key,
            asked.argument,
            None if lost else answer[0],
            called,
            FOREVER if lost else now,
            Outcome.INFO if lost else Outcome.OK,
        )
        if lost:
            processes[worker] += store.workers
        workers[worker] = None
        ended += 1


def _register(state: Value, asked: _Asked) -> tuple[Value, Value]:
    """Read, write, or compare and set."""
    if asked.f == "read":
        return state, state
    if asked.f == "write":
        return asked.argument, None
    assert isinstance(asked.argument, tuple), "cas has two arguments"
    expected, new = asked.argument
    return (new, True) if state == expected else (state, False)


def _strings(state: str, asked: _Asked) -> tuple[str, Value]:
    """Get, put or append."""
    if asked.f == "get":
        return state, state
    assert isinstance(asked.argument, str), "what is written is a string"
    return asked.argument if asked.f == "put" else state + asked.argument, None


def _unique_register(keys: int) -> _Store:
    """Return registers in which each write writes what no other does."""
    written = 0

    def draw(random: Random) -> _Asked:
        nonlocal written
        key = int(random.random() * keys)
        if random.random() < 0.5:  # noqa: PLR2004 - half reads, half writes
            return _Asked("read", key, None)
        written += 1
        return _Asked("write", key, written)

    return _Store(0, draw, _register, workers=10)


def unique_registers(count: int, keys: int, *, broken: bool) -> History:
    """
    Return reads and writes of unique values.

    Args:
        count: Operations.
        keys: Registers.
        broken: The last read returns what was overwritten long before.
    """
    random = Random(_SEED)  # noqa: S311 - the same history every time
    operations = list(_operations(random, _unique_register(keys), count))
    if broken:
        last = next(
            place for place in reversed(range(count)) if operations[place].f == "read"
        )
        key = operations[last].key
        early = next(
            each for each in operations if each.f == "read" and each.key == key
        )
        operations[last] = operations[last]._replace(result=early.result)
    return History.of(operations, header=Header(model="register", initial=0))


def key_value(count: int, clients: int, *, broken: bool) -> History:
    """
    Return gets, puts and appends of strings, as porcupine's key-value tests do.

    Args:
        count: Operations.
        clients: Operations open at once.
        broken: A late get lacks a string that an earlier one had in its middle.
    """
    made = 0

    def draw(random: Random) -> _Asked:
        nonlocal made
        key = str(random.randrange(10))
        chance = random.random()
        made += 1
        if chance < 0.45:  # noqa: PLR2004 - shares of get, append and put
            return _Asked("get", key, None)
        f = "append" if chance < 0.95 else "put"  # noqa: PLR2004 - as above
        return _Asked(f, key, f"x {made} y")

    random = Random(_SEED)  # noqa: S311 - the same history every time
    store = _Store("", draw, _strings, workers=clients)
    operations = list(_operations(random, store, count))
    if broken:
        place, result = _without_the_second(operations)
        operations[place] = operations[place]._replace(result=result)
    return History.of(operations, header=Header(model="key-value", initial=""))


def _without_the_second(operations: list[Operation]) -> tuple[int, str]:
    """
    Return a get, as late as possible, and its result without the second string.

    An earlier get of the key has seen the same two strings at its beginning, so the
    second followed the first at once; now the third does.
    """
    for place in reversed(range(len(operations))):
        late = operations[place]
        parts = str(late.result).split("x ")[1:]
        if late.f != "get" or len(parts) < 3:  # noqa: PLR2004 - a third is needed
            continue
        begin = f"x {parts[0]}x {parts[1]}"
        if any(
            each.f == "get" and str(each.result).startswith(begin)
            for each in operations[:place]
            if each.key == late.key
        ):
            return place, "x " + "x ".join([parts[0], *parts[2:]])
    message = "the history is too short to be broken"
    raise AssertionError(message)


def etcd_like(log: int, *, broken: bool) -> History:
    """
    Return a log like those that Jepsen made of etcd: 170 operations of 5 clients.

    Args:
        log: Which; each is another.
        broken: At the quiet end a value is read that was overwritten.  It is one
            that no operation without an answer could have written.
    """
    last = _LOG_VALUES - 1

    def draw(random: Random) -> _Asked:
        f = random.choice(("read", "write", "cas"))
        if f == "read":
            return _Asked(f, None, None)
        new = random.randrange(_LOG_VALUES)
        may_be_lost = new != last
        if f == "write":
            return _Asked(f, None, new, may_be_lost)
        return _Asked(f, None, (random.randrange(_LOG_VALUES), new), may_be_lost)

    random = Random(_SEED + log)  # noqa: S311 - the same history every time
    store = _Store(None, draw, _register, workers=5, lost=0.1)
    operations = list(_operations(random, store, 170))
    if broken:
        now = max(each.returned for each in operations if each.returned != FOREVER)
        process = 1 + max(each.process for each in operations)
        for f, argument, result in (("write", 0, None), ("read", None, last)):
            now += 2
            operations.append(
                Operation(process, f, None, argument, result, now - 1, now, Outcome.OK)
            )
    return History.of(operations, header=Header(model="cas-register"))


def etcd_like_logs(*, broken: bool) -> History:
    """Return all logs as one history: each is a key."""
    operations = [
        operation._replace(key=log)
        for log in range(_LOGS)
        for operation in etcd_like(log, broken=broken).operations
    ]
    return History.of(operations, header=Header(model="cas-register"))


def _each_log(history: History) -> Judgement:
    """Judge each key by itself, so that a bad one does not spare the others."""
    judgements = [
        check(History(tuple(operations), header=history.header), "cas-register")
        for operations in history.by_key().values()
    ]
    odd = [each for each in judgements if each.verdict is not judgements[0].verdict]
    return odd[0] if odd else judgements[0]


def _model(history: History) -> Judgement:
    return check(history, history.header.model)


def sections() -> tuple[Section, ...]:
    """Return what is measured: good and bad histories of each kind."""
    kinds: tuple[tuple[str, float, Callable[..., History], Judge], ...] = (
        (
            "register, unique values, 1,000,000 operations, 100 keys",
            10.0,
            partial(unique_registers, 1_000_000, 100),
            _model,
        ),
        (
            "register, unique values, 100,000 operations, 1 key",
            1.0,
            partial(unique_registers, 100_000, 1),
            _model,
        ),
        (
            "key-value, 2,000 operations, 50 clients, 10 keys",
            1.0,
            partial(key_value, 2_000, 50),
            _model,
        ),
        (
            f"cas-register, {_LOGS} logs of 170 operations, values 0-4",
            1.0,
            etcd_like_logs,
            _each_log,
        ),
    )
    return tuple(
        Section(
            f"linearizable {name}, {'bad' if broken else 'good'}",
            aim_s,
            partial(make, broken=broken),
            judge,
            Verdict.INVALID if broken else Verdict.VALID,
        )
        for name, aim_s, make, judge in kinds
        for broken in (False, True)
    )
