"""
Scripts that hypothesis draws: calls of one object, some of several at once.

Left out is what is known to differ (docs/workers.md), and what real time decides: of
several calls at once, none awaits anything but storage.
"""

from typing import Any, Final

from hypothesis import strategies as st

from tests.differential.script import Calls, Step

KEYS: Final = ("a", "b", "ba", "c", "é", "z")
NUMBERS_MAX: Final = 2**53  # beyond, numbers of JavaScript lose digits

TABLE: Final[Step] = ["sql", "CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY, v)"]

keys = st.sampled_from(KEYS)
several_keys = st.lists(keys, max_size=4)
_plain = (
    st.none()
    | st.booleans()
    | st.integers(-NUMBERS_MAX, NUMBERS_MAX)
    | st.floats(-1e15, 1e15)
    | st.text("aé😀 \n\"'\\", max_size=5)
    | st.builds(lambda held: {"$bytes": [*held]}, st.binary(max_size=3))
    | st.builds(lambda held: {"$date": held}, st.integers(0, 2_000_000_000_000))
    | st.builds(lambda held: {"$set": [*held]}, st.sets(st.integers(0, 9), max_size=3))
    | st.sampled_from([{"$float": name} for name in ("NaN", "Infinity", "-Infinity")])
)
values: st.SearchStrategy[Any] = st.recursive(
    _plain,
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "0", ""]), inside, max_size=3)
    ),
    max_leaves=6,
)
list_options = st.fixed_dictionaries(
    {},
    optional={
        "prefix": st.sampled_from(["", "b", "é"]),
        "start": keys,
        "startAfter": keys,
        "end": keys,
        "reverse": st.booleans(),
        "limit": st.integers(-1, 3),
    },
)


def steps(*parts: Any) -> st.SearchStrategy[Step]:  # noqa: ANN401 -- a name, and what draws
    """Return steps of a name and what is drawn for it."""
    drawn = [
        part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts
    ]
    return st.tuples(*drawn).map(list)


reads = (
    steps("get", keys | several_keys)
    | steps("list", list_options)
    | steps("sql", "SELECT * FROM t ORDER BY k")
    | steps("one", "SELECT v FROM t WHERE k = ?", keys)
)
puts = (
    steps("put", keys, values)
    | steps("put", st.dictionaries(keys, values, max_size=3))
    | steps("delete", keys | several_keys)
)
rows = steps(
    "sql", "INSERT INTO t VALUES (?, ?)", keys, st.none() | st.text("ab", max_size=3)
) | steps("sql", "DELETE FROM t WHERE k = ? RETURNING *", keys)
works = reads | puts | rows
in_transaction = works | steps("of storage", works)
transactions = st.builds(
    lambda inside, end: [*inside, *end],
    st.lists(in_transaction, max_size=4),
    st.sampled_from([[], [], [["rollback"], ["get", "a"], ["put", "a", 1]]]),
)
wholes = (
    steps("transaction", transactions)
    | steps("transactionSync", st.lists(rows | steps("throw", "no"), max_size=3))
    | steps("block", st.lists(works, max_size=3))
    | steps("unawaited", st.lists(puts, max_size=3))
)
others = (
    steps("setAlarm", 100_000)
    | steps("getAlarm")
    | steps("deleteAlarm")
    | steps("kv", "get", keys)
    | steps("kv", "put", keys, values)
    | steps("kv", "delete", keys)
    | steps("kv", "list", list_options)
)


def _settled(script: list[Step]) -> list[Step]:
    """Return *script* so that no abort takes a deletion of all with it."""
    return [
        each
        for step in script
        for each in ([step, ["sync"]] if step == ["deleteAll"] else [step])
    ]


pauses = steps("sync") | steps("sleep", 1)
ends = st.sampled_from([[], [], [], [["throw", "no"]], [["abort", "no"]]])

deletion = steps("deleteAll")
alone = st.builds(
    lambda script, end: Calls([[TABLE, *_settled(script), *end]]),
    st.lists(works | puts | wholes | others | pauses | deletion, max_size=7),
    ends,
)
at_once = st.lists(
    st.lists(
        works | wholes | others | deletion | steps("note", st.integers(0, 9)),
        max_size=4,
    ),
    min_size=2,
    max_size=3,
).map(lambda scripts: Calls([[TABLE, *script] for script in scripts]))
scripts = st.lists(alone | alone | at_once, min_size=1, max_size=4)
"""Each shows afterwards what is left; see `LOOK`."""

LOOK: Final = Calls(
    [[["notes"], ["list"], ["getAlarm"], TABLE, ["rows", "SELECT * FROM t"]]]
)
