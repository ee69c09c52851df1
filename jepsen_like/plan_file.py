"""
Plans on disk: JSON that is read by people, compared by bytes, and replayed.

Equal plans are equal bytes: the head is one line, each step is one line, names
of fields are in a fixed order.

    {"format":"jepsen_like plan","version":1,"workload":"register",...,"steps":[
    {"at":10,"worker":0,"node":"n1","f":"write","key":"x","argument":1},
    {"at":25,"fault":"Kill","nodes":["n1"]}
    ]}

A reader takes exactly the version that it knows, because a plan that is half
understood would be another plan.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final, TypeVar, cast, get_args, get_type_hints

from jepsen_like.history.operation import Key, Scalar, Value
from jepsen_like.nemesis.faults import Fault, Link
from jepsen_like.plan import Invoke, Plan, Step, Strike

_T = TypeVar("_T")

FORMAT: Final = "jepsen_like plan"
VERSION: Final = 1
SIZE_BYTES_MAX: Final = 64 * 2**20
"""About half a million steps: far more than anybody replays."""
STREAMS_MAX: Final = 10_000

_FAULTS: Final[Mapping[str, type[Fault]]] = {
    kind.__name__: kind for kind in get_args(Fault)
}


class PlanFileError(ValueError):
    """A file holds no plan that can be run; the message says where and why."""


def plan_text(plan: Plan) -> str:
    """Return *plan* as its file has it."""
    head: dict[str, object] = {
        "format": FORMAT,
        "version": VERSION,
        "workload": plan.workload,
        "seed": plan.seed,
        "nodes": plan.nodes,
        "settle": plan.settle,
        "calm": sorted(plan.calm),
    }
    if plan.settings:  # left out else, so that earlier versions read most plans
        head["settings"] = plan.settings
    lines = ",\n".join(_line(_step_document(step)) for step in plan.steps)
    return f'{_line(head)[:-1]},"steps":[\n{lines}\n]}}\n'


def parse_plan(text: str) -> Plan:
    """
    Return the plan that *text* holds.

    Raises:
        PlanFileError: It holds none.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise PlanFileError(msg) from None
    head = _Fields(document, "the plan")
    if head.take("format", _text) != FORMAT:
        msg = f'not a plan: "format" is not "{FORMAT}"'
        raise PlanFileError(msg)
    version = head.take("version", _integer)
    if version != VERSION:
        msg = (
            f"the plan is of version {version}, and this program reads {VERSION};"
            " use the version of jepsen_like that wrote it"
        )
        raise PlanFileError(msg)
    plan = Plan(
        workload=head.take("workload", _text),
        seed=head.take("seed", _integer),
        nodes=head.take("nodes", _texts),
        settle=head.take("settle", _natural),
        calm=frozenset(head.take("calm", _texts)),
        settings=head.take("settings", _pairs) if "settings" in head else (),
        steps=tuple(
            _step(each, f"step {number}")
            for number, each in enumerate(head.take("steps", _list), start=1)
        ),
    )
    head.end()
    _check(plan)
    return plan


def write_plan(plan: Plan, path: Path) -> None:
    """Write *plan* to *path*, in place of what is there."""
    path.write_text(plan_text(plan), encoding="utf-8")


def read_plan(path: Path) -> Plan:
    """
    Return the plan in the file *path*.

    Raises:
        PlanFileError: It holds none; the message names the file.
        OSError: It cannot be read.
    """
    size_bytes = path.stat().st_size
    if size_bytes > SIZE_BYTES_MAX:
        msg = f"{path}: {size_bytes} bytes, and a plan has at most {SIZE_BYTES_MAX}"
        raise PlanFileError(msg)
    try:
        return parse_plan(path.read_text(encoding="utf-8"))
    except PlanFileError as error:
        msg = f"{path}: {error}"
        raise PlanFileError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{path}: not UTF-8: {error}"
        raise PlanFileError(msg) from None


def _line(document: object) -> str:
    # ASCII alone, so that any text survives, even half of a surrogate pair.
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _step_document(step: Step) -> dict[str, object]:
    match step:
        case Invoke():
            return {field.name: getattr(step, field.name) for field in fields(step)}
        case Strike(at, fault):
            told = {field.name: getattr(fault, field.name) for field in fields(fault)}
            return {"at": at, "fault": type(fault).__name__, **told}


def _step(document: object, where: str) -> Step:
    given = _Fields(document, where)
    at = given.take("at", _natural)
    if "fault" in given:
        step: Step = Strike(at, _fault(given, where))
    else:
        step = Invoke(
            at=at,
            worker=given.take("worker", _natural),
            node=given.take("node", _text),
            f=given.take("f", _text),
            key=given.take("key", _key),
            argument=given.take("argument", _value),
        )
    given.end()
    return step


def _fault(given: "_Fields", where: str) -> Fault:
    name = given.take("fault", _text)
    if name not in _FAULTS:
        msg = f"{where}: no fault is called {name!r}; there are {', '.join(_FAULTS)}"
        raise PlanFileError(msg)
    kind = _FAULTS[name]
    hints = get_type_hints(kind)
    values = {
        field.name: given.take(field.name, _READERS[hints[field.name]])
        for field in fields(kind)
    }
    # The fields were read by their own types, which the checker cannot follow.
    return cast("Callable[..., Fault]", kind)(**values)


def _check(plan: Plan) -> None:
    """Refuse what has the right form and yet is no plan."""
    problems = {
        "a plan needs nodes": not plan.nodes,
        "two nodes have the same name": len(set(plan.nodes)) < len(plan.nodes),
        "steps are not in order of their times": any(
            one.at > other.at
            for one, other in zip(plan.steps, plan.steps[1:], strict=False)
        ),
        f"more than {STREAMS_MAX} streams are calm": len(plan.calm) > STREAMS_MAX,
    }
    for problem, is_so in problems.items():
        if is_so:
            raise PlanFileError(problem)
    for number, step in enumerate(plan.steps, start=1):
        if isinstance(step, Invoke) and step.node not in plan.nodes:
            msg = f"step {number}: {step.node!r} is none of the nodes"
            raise PlanFileError(msg)


class _Fields:
    """The fields of a JSON object, each to be taken once."""

    def __init__(self, document: object, where: str) -> None:
        if not isinstance(document, dict):
            msg = f"{where}: an object was expected, not {_shown(document)}"
            raise PlanFileError(msg)
        self._left = dict(document)
        self._where = where

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, read: Callable[[object], _T]) -> _T:
        """Return the field *name* as *read* reads it."""
        if name not in self._left:
            msg = f"{self._where}: {name!r} is missing"
            raise PlanFileError(msg)
        value = self._left.pop(name)
        try:
            return read(value)
        except _UnexpectedError as error:
            msg = f"{self._where}: {name!r} must be {error}, not {_shown(value)}"
            raise PlanFileError(msg) from None

    def end(self) -> None:
        """Refuse fields that nobody has taken."""
        if self._left:
            msg = f"{self._where}: unknown field {next(iter(self._left))!r}"
            raise PlanFileError(msg)


class _UnexpectedError(Exception):
    """A value is not what it must be; the message says what that is."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        expected = "text"
        raise _UnexpectedError(expected)
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        expected = "a whole number"
        raise _UnexpectedError(expected)
    return value


def _natural(value: object) -> int:
    number = _integer(value)
    if number < 0:
        expected = "a whole number, zero or more"
        raise _UnexpectedError(expected)
    return number


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        expected = "a number"
        raise _UnexpectedError(expected)
    return float(value)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        expected = "a list"
        raise _UnexpectedError(expected)
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(each) for each in _list(value))


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    pairs = [_texts(each) for each in _list(value)]
    if any(len(pair) != 2 for pair in pairs):  # noqa: PLR2004 - what a pair is
        expected = "a list of pairs of texts"
        raise _UnexpectedError(expected)
    return tuple((pair[0], pair[1]) for pair in pairs)


def _key(value: object) -> Key:
    return (
        None if value is None else value if isinstance(value, str) else _integer(value)
    )


def _value(value: object) -> Value:
    if isinstance(value, list):
        return tuple(_value(each) for each in value)
    if isinstance(value, dict):
        expected = "null, a truth value, a number, text or a list of these"
        raise _UnexpectedError(expected)
    return cast("Scalar", value)


def _refuse_constant(name: str) -> None:
    msg = f"{name} is no number in JSON"
    raise ValueError(msg)


def _shown(value: object) -> str:
    """Return the beginning of *value*, for a message."""
    text = json.dumps(value)
    longest = 60
    return text if len(text) <= longest else f"{text[:longest]}..."


_READERS: Final[Mapping[object, Callable[[object], object]]] = {
    str: _text,
    int: _integer,
    float: _number,
    tuple[str, ...]: _texts,
    tuple[Link, ...]: _pairs,
}
"""How a field of a fault is read, by its type."""
