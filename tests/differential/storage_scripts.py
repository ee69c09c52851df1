"""Scripts about keys, values, options of lists, transactions and SQL."""

from typing import Final

from tests.differential.script import Calls, Script, alone

_LETTERS: Final = {
    "a": 1,
    "b": 2,
    "ba": 3,
    "c": 4,
    "é": 5,
    "z": 6,
    "😀": 7,
    "\uff5a": 8,
}
_TABLE: Final = ["sql", "CREATE TABLE t (k TEXT PRIMARY KEY, v)"]
_ALL: Final = ["rows", "SELECT * FROM t ORDER BY k"]

STORAGE: Final = (
    Script(
        "what JSON says is stored as it is",
        alone(
            ["put", "deep", {"x": {"y": [1, "2", None, True, {"z": 0.5}]}, "": []}],
            ["put", {"empty text": "", "empty map": {}, "empty list": []}],
            ["put", {"no": False, "nothing": None, "minus": -7, "part": -1.5e300}],
            ["put", "text", 'é😀 \n\t"\\\u0000end'],
            ["get", "deep"],
            ["get", "text"],
            ["list"],
        ),
    ),
    Script(
        "what JSON does not say is stored as well",
        alone(
            ["put", {"bytes": {"$bytes": [0, 255]}, "none": {"$bytes": []}}],
            ["put", {"time": {"$date": 1_700_000_000_123}, "epoch": {"$date": 0}}],
            ["put", {"set": {"$set": [1, "x"]}, "number": {"$float": "NaN"}}],
            ["put", "far", [{"$float": "Infinity"}, {"$float": "-Infinity"}]],
            ["list"],
        ),
    ),
    Script(
        "several keys are read, written and deleted in one call",
        alone(
            ["put", {"b": 1, "a": 2}],
            ["get", ["b", "a", "missing", "b"]],
            ["get", []],
            ["put", {}],
            ["delete", []],
            ["delete", ["a", "a", "missing"]],
            ["delete", "b"],
            ["delete", "b"],
            ["get", "b"],
            ["list"],
        ),
    ),
    Script(
        "lists are in the order of UTF-8, and cut by their options",
        alone(
            ["put", _LETTERS],
            *(
                ["list", options]
                for options in (
                    {},
                    {"reverse": True, "limit": 2},
                    {"limit": 3},
                    {"start": "b", "end": "c"},
                    {"start": "bb", "end": "c"},
                    {"startAfter": "b"},
                    {"start": "b", "reverse": True, "limit": 2},
                    {"startAfter": "b", "end": "z", "reverse": True},
                    {"prefix": "b"},
                    {"prefix": "b", "start": "a"},
                    {"prefix": "b", "start": "c"},
                    {"prefix": "b", "startAfter": "b", "reverse": True},
                    {"prefix": "b", "end": "a"},
                    {"prefix": "", "end": ""},
                    {"start": ""},
                    {"start": "c", "end": "b"},
                    {"start": "c", "end": "c"},
                )
            ),
        ),
    ),
    Script(
        "options that cannot be are refused",
        alone(
            ["put", _LETTERS],
            ["list", {"limit": 0}],
            ["list", {"limit": -1}],
            ["list", {"start": "a", "startAfter": "a"}],
            ["get", "a"],
        ),
    ),
    Script(
        "options without effect are taken",
        alone(
            ["put", "a", 1, {"allowUnconfirmed": True, "noCache": True}],
            ["put", {"b": 2}, {"allowConcurrency": True}],
            ["get", "a", {"allowConcurrency": True, "noCache": True}],
            ["delete", "a", {"noCache": True}],
            ["list", {"allowConcurrency": True, "noCache": True}],
        ),
    ),
    Script(
        "kv has the same keys",
        alone(
            ["kv", "put", "a", {"x": [1]}],
            ["put", "b", 2],
            ["kv", "get", "a"],
            ["kv", "get", "b"],
            ["kv", "get", "missing"],
            ["kv", "list"],
            ["kv", "list", {"prefix": "b"}],
            ["kv", "list", {"reverse": True, "limit": 1}],
            ["kv", "delete", "a"],
            ["kv", "delete", "a"],
            ["list"],
        ),
    ),
    Script(
        "delete all deletes keys, database and alarm",
        alone(
            ["put", "a", 1],
            _TABLE,
            ["setAlarm", 100_000],
            ["deleteAll"],
            ["list"],
            ["getAlarm"],
            ["sql", "SELECT * FROM t"],
            ["put", "b", 2],
            _TABLE,
            ["list"],
            _ALL,
        ),
    ),
    Script(
        "a transaction sees its own writes, and is stored as a whole",
        alone(
            ["put", {"a": 1, "b": 2}],
            [
                "transaction",
                [["put", "a", 10], ["delete", "b"], ["put", "c", 3], ["list"]],
            ],
            ["list"],
        ),
    ),
    Script(
        "storage belongs to a transaction that runs",
        alone(
            [
                "transaction",
                [
                    ["put", "a", 1],
                    ["of storage", ["put", "b", 2]],
                    ["get", "b"],
                    ["of storage", ["get", "a"]],
                    ["rollback"],
                ],
            ],
            ["list"],
        ),
    ),
    Script(
        "nothing can be done with a transaction after its rollback",
        alone(
            [
                "transaction",
                [
                    ["put", "a", 1],
                    ["rollback"],
                    ["rollback"],
                    ["put", "b", 2],
                    ["list"],
                ],
            ],
            ["list"],
        ),
    ),
    Script(
        "nothing can be done with a transaction after its end",
        alone(
            ["kept transaction", [["put", "a", 1], ["get", "a"], ["rollback"]]],
            ["list"],
        ),
    ),
    Script(
        "an exception in a transaction undoes it",
        (
            Calls(
                [
                    [
                        ["put", "before", 1],
                        [
                            "transaction",
                            [
                                ["put", "a", 1],
                                ["of storage", ["put", "b", 2]],
                                ["sleep", 1],
                                ["delete", "before"],
                                ["throw", "no"],
                            ],
                        ],
                    ]
                ]
            ),
            Calls([[["list"]]]),
        ),
    ),
    Script(
        "keys and SQL are undone together",
        alone(
            _TABLE,
            ["put", "k", 1],
            [
                "transaction",
                [
                    ["put", "k", 2],
                    ["sql", "INSERT INTO t VALUES ('x', 1)"],
                    ["rollback"],
                ],
            ],
            ["get", "k"],
            _ALL,
            [
                "transaction",
                [["put", "k", 3], ["sql", "INSERT INTO t VALUES ('x', 1)"]],
            ],
            ["get", "k"],
            _ALL,
        ),
    ),
    Script(
        "transactionSync is undone as a whole",
        alone(
            _TABLE,
            [
                "transactionSync",
                [["sql", "INSERT INTO t VALUES ('x', NULL)"], ["sql", _ALL[1]]],
            ],
            [
                "transactionSync",
                [["sql", "INSERT INTO t VALUES ('y', NULL)"], ["throw", "no"]],
            ],
            ["transactionSync", [["sql", "INSERT INTO t VALUES ('x', NULL)"]]],
            _ALL,
        ),
    ),
    Script(
        "a cursor shows names, rows, and the only one",
        alone(
            ["sql", "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c)"],
            ["written", "INSERT INTO t VALUES (1, ?, ?)", "x", 2.5],
            ["written", "INSERT INTO t SELECT a + 1, b, c FROM t"],
            ["written", "SELECT * FROM t"],
            ["sql", "SELECT * FROM t ORDER BY a"],
            ["rows", "SELECT * FROM t ORDER BY a"],
            ["one", "SELECT * FROM t WHERE a = 1"],
            ["one", "SELECT * FROM t"],
            ["one", "SELECT * FROM t WHERE a = 9"],
            ["sql", "SELECT 1 AS a, 2 AS a"],
            ["rows", "SELECT 1 AS a, 2 AS a"],
            ["sql", "DELETE FROM t WHERE a = 2 RETURNING a, b"],
            ["sql", "SELECT 1; SELECT 2 AS z"],
        ),
    ),
    Script(
        "bindings are texts, blobs, numbers and nothing",
        alone(
            ["sql", "SELECT ? AS x, typeof(?1) AS y", {"$bytes": [1, 2]}],
            ["sql", "SELECT ? AS x, typeof(?1) AS y", "é"],
            ["sql", "SELECT ? AS x, typeof(?1) AS y", 2.5],
            ["sql", "SELECT ? AS x, typeof(?1) AS y", None],
            ["sql", "SELECT ? AS x", {"$float": "NaN"}],
            ["sql", "SELECT ? AS x", {"$float": "Infinity"}],
            ["sql", "SELECT ? AS x, ? AS y", 1],
            ["sql", "SELECT 1", 1],
        ),
    ),
    Script(
        "a statement that fails has done nothing",
        alone(
            _TABLE,
            ["sql", "INSERT INTO t VALUES ('x', 1)"],
            ["sql", "INSERT INTO t SELECT 'y', 1 UNION ALL SELECT 'x', 1"],
            _ALL,
            ["sql", "nonsense"],
            ["sql", ""],
            ["sql", "SELECT * FROM nowhere"],
        ),
    ),
    Script(
        "what goes round the log is refused",
        alone(
            ["sql", "BEGIN"],
            ["sql", "COMMIT"],
            ["sql", "SAVEPOINT x"],
            ["sql", "ATTACH 'x' AS y"],
            ["sql", "VACUUM"],
            ["sql", "CREATE TEMP TABLE z (x)"],
            ["sql", "PRAGMA journal_mode = WAL"],
            ["sql", "CREATE VIRTUAL TABLE f USING fts5(x)"],
            ["sql", "SELECT load_extension('x')"],
        ),
    ),
)
