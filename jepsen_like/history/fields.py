"""
Fields of the lines of our own format, each refused unless it is what it should be.

All raise `WrongError`, which says what is wrong; whoever reads the file knows where.
"""

from jepsen_like.history.operation import Key, Value

Json = dict[str, object]
"""An object as it was parsed, before anything is known of its fields."""


class WrongError(Exception):
    """What is wrong with a line, before its place is known."""


def only_known(document: Json, known: frozenset[str]) -> None:
    """Refuse fields of *document* other than those *known*."""
    if unknown := sorted(document.keys() - known):
        msg = f"unknown field {unknown[0]!r}: known are {', '.join(sorted(known))}"
        raise WrongError(msg)


def text_of(document: Json, field: str) -> str:
    """Return the text in *field*; "" if it is not there."""
    text = document.get(field, "")
    if not isinstance(text, str):
        msg = f"`{field}` is text, not {text!r}"
        raise WrongError(msg)
    return text


def whole_of(document: Json, field: str) -> int:
    """Return the whole number in *field*."""
    number = document.get(field)
    if type(number) is not int:
        msg = f"`{field}` is a whole number, not {number!r}"
        raise WrongError(msg)
    return number


def names_of(document: Json) -> tuple[str, ...]:
    """Return the names in `nodes`; none if it is not there."""
    nodes = document.get("nodes", [])
    if not isinstance(nodes, list):
        msg = f"`nodes` is a list of names, not {nodes!r}"
        raise WrongError(msg)
    names = tuple(node for node in nodes if isinstance(node, str))
    if len(names) < len(nodes):
        msg = f"`nodes` is a list of names, not {nodes!r}"
        raise WrongError(msg)
    return names


def key_of(key: object) -> Key:
    """Return *key*, if it can be one."""
    if key is None or type(key) is int or isinstance(key, str):
        return key
    msg = f"`key` is text, a whole number or null, not {key!r}"
    raise WrongError(msg)


def value_of(value: object) -> Value:
    """Return *value* with tuples for lists, if it can be one."""
    if isinstance(value, list):
        return tuple(map(value_of, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    msg = f"a value is a scalar or a list, not an object: {value!r}"
    raise WrongError(msg)
