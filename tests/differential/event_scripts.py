"""Scripts about what commits together, what may enter when, alarms, and endings."""

from typing import Final

from tests.differential.script import Calls, Rung, Script, alone

_LOOK: Final = Calls([[["notes"], ["list"]]])

COMMITS: Final = (
    Script(
        "an exception leaves what was written",
        (
            Calls([[["put", "a", 1], ["throw", "no"]]]),
            Calls(
                [[["unawaited", [["put", "b", 1], ["put", "c", 2]]], ["throw", "no"]]]
            ),
            _LOOK,
        ),
    ),
    Script(
        "an abort takes all that was written without an await in between",
        (
            Calls([[["put", "a", 0], ["sync"]]]),
            Calls(
                [
                    [
                        ["unawaited", [["put", "a", 1], ["put", "b", 2]]],
                        ["delete", "a"],
                        ["abort", "enough"],
                    ]
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "an abort leaves what was written before another await",
        (
            Calls([[["put", "a", 1], ["sync"], ["put", "b", 2], ["abort", "enough"]]]),
            Calls([[["put", "c", 1], ["sleep", 1], ["put", "d", 2], ["abort", "no"]]]),
            _LOOK,
        ),
    ),
    Script(
        "keys and rows without an await in between are lost together",
        (
            Calls([[["sql", "CREATE TABLE t (x)"], ["sync"]]]),
            Calls(
                [
                    [
                        ["put", "a", 1],
                        ["sql", "INSERT INTO t VALUES (1)"],
                        ["setAlarm", 100_000],
                        ["abort", "enough"],
                    ]
                ]
            ),
            Calls([[["list"], ["rows", "SELECT * FROM t"], ["getAlarm"]]]),
        ),
    ),
    Script(
        "what is in memory is lost with the instance",
        (
            Calls([[["note", "x"]]]),
            Calls([[["notes"], ["note", "y"], ["abort", "enough"]]]),
            _LOOK,
        ),
    ),
    Script(
        "a section that fails takes its last step with it, and ends the object",
        (
            Calls(
                [
                    [
                        ["put", "k", 1],
                        ["block", [["put", "k", 2], ["throw", "no"]]],
                        ["note", "never"],
                    ],
                    [["note", "b"], ["wait", "never"]],
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "a section that fails leaves what was written before another await",
        (
            Calls(
                [
                    [
                        [
                            "block",
                            [
                                ["put", "a", 1],
                                ["sync"],
                                ["put", "b", 2],
                                ["throw", "no"],
                            ],
                        ]
                    ]
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "an object whose beginning fails takes no call",
        (
            Calls([[["put", "$begin", [["put", "b", 1], ["throw", "no"]]], ["sync"]]]),
            Calls([[["abort", "enough"]]]),
            Calls([[["list"]], [["list"]]]),
            Calls([[["list"]]]),
        ),
    ),
    Script(
        "an object that begins does so before its first call",
        (
            Calls([[["put", "$begin", [["get", "a"], ["put", "a", 1]]], ["sync"]]]),
            Calls([[["abort", "enough"]]]),
            Calls([[["began"], ["get", "a"]]]),
        ),
    ),
)

GATES: Final = (
    Script(
        "nothing enters while storage is asked",
        (
            Calls(
                [
                    [
                        ["note", "a1"],
                        ["get", "k"],
                        ["put", "k", 1],
                        ["sql", "CREATE TABLE t (x)"],
                        ["list"],
                        ["delete", "k"],
                        ["setAlarm", 100_000],
                        ["getAlarm"],
                        ["note", "a2"],
                    ],
                    [["note", "b1"], ["get", "k"], ["note", "b2"]],
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "calls enter while something else is awaited",
        (
            Calls(
                [
                    [["note", "a1"], ["wait", "x"], ["note", "a2"]],
                    [["note", "b1"], ["get", "k"], ["note", "b2"], ["open", "x"]],
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "calls enter while writes become durable",
        (
            Calls(
                [
                    [["note", "a1"], ["put", "k", 1], ["sync"], ["note", "a2"]],
                    [["note", "b1"], ["get", "k"], ["note", "b2"]],
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "reading and writing over another await loses updates",
        (
            Calls([[["put", "n", 0]]]),
            Calls(
                [
                    [["get", "n"], ["wait", "x"], ["put", "n", 1]],
                    [["get", "n"], ["put", "n", 5], ["open", "x"]],
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "nothing enters a section, not even a call that came in before",
        (
            Calls(
                [
                    [
                        ["note", "a1"],
                        ["block", [["sleep", 10], ["note", "a2"]]],
                        ["note", "a3"],
                    ],
                    [["note", "b1"], ["get", "k"], ["note", "b2"]],
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "what was awaited before a section goes on after it",
        (
            Calls(
                [
                    [["note", "a1"], ["sleep", 5], ["note", "a2"]],
                    [
                        ["note", "b1"],
                        ["block", [["sleep", 40], ["note", "b2"]]],
                        ["note", "b3"],
                    ],
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "nothing enters a transaction",
        (
            Calls(
                [
                    [
                        [
                            "transaction",
                            [
                                ["put", "a", 1],
                                ["sleep", 10],
                                ["note", "a2"],
                                ["put", "b", 1],
                            ],
                        ],
                        ["note", "a3"],
                    ],
                    [["note", "b1"], ["list"], ["note", "b2"]],
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "sections wait for each other in their order",
        (
            Calls(
                [
                    [["block", [["sleep", 10], ["note", "a"]]]],
                    [["block", [["sleep", 1], ["note", "b"]]]],
                    [["block", [["note", "c"]]]],
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "a section within a section belongs to it",
        (
            Calls(
                [
                    [["block", [["block", [["put", "a", 1], ["sleep", 1]]], ["list"]]]],
                    [["note", "b"]],
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "work in the background keeps to the gate",
        (
            Calls(
                [
                    [
                        [
                            "background",
                            [["sleep", 5], ["note", "late"], ["put", "a", 1]],
                        ],
                        ["block", [["sleep", 40], ["note", "section"]]],
                        ["note", "after"],
                        ["sleep", 20],
                    ]
                ]
            ),
            _LOOK,
        ),
    ),
    Script(
        "an object calls another",
        alone(
            ["put", "a", 1],
            ["call", "the other", [["put", "c", 1], ["list"]]],
            ["list"],
            ["call", "the other", [["throw", "no"]]],
        ),
    ),
)

ALARMS: Final = (
    Script(
        "an alarm is set, moved and deleted",
        alone(
            ["getAlarm"],
            ["setAlarm", 100_000],
            ["getAlarm"],
            ["setAlarm", 50_000],
            ["getAlarm"],
            ["deleteAlarm"],
            ["getAlarm"],
            ["deleteAlarm"],
        ),
    ),
    Script(
        "an alarm runs once, and is not set while it does",
        (
            Calls([[["put", "$alarm", [["getAlarm"], ["put", "x", 1]]]]]),
            Calls([[["setAlarm", 0], ["getAlarm"]]]),
            Rung(1),
            Calls([[["notes"], ["get", "x"], ["getAlarm"], ["alarms"]]]),
        ),
    ),
    Script(
        "an alarm in the past runs at once",
        (
            Calls([[["setAlarm", -100_000]]]),
            Rung(1),
            Calls([[["notes"], ["getAlarm"]]]),
        ),
    ),
    Script(
        "an alarm that was deleted does not run",
        (
            Calls([[["setAlarm", 40], ["deleteAlarm"], ["sleep", 80], ["alarms"]]]),
            Calls(
                [[["setAlarm", 40], ["setAlarm", 90_000], ["sleep", 80], ["alarms"]]]
            ),
        ),
    ),
    Script(
        "an alarm that is set in a run follows it",
        (
            Calls(
                [
                    [
                        [
                            "put",
                            "$alarm",
                            [["put", "$alarm", []], ["setAlarm", 0], ["getAlarm"]],
                        ],
                        ["setAlarm", 0],
                    ]
                ]
            ),
            Rung(2),
            Calls([[["notes"], ["getAlarm"]]]),
        ),
    ),
    Script(
        "a run that fails keeps what it wrote, and is tried again after 2 s",
        (
            Calls([[["put", "$alarm", [["put", "x", 1], ["throw", "no"]]]]]),
            Calls([[["setAlarm", 0]]]),
            Rung(1),
            Calls([[["notes"], ["get", "x"], ["sleep", 300], ["alarms"]]]),
            Calls([[["put", "$alarm", []]]]),
            Rung(2),
            Calls([[["notes"], ["getAlarm"]]]),
        ),
    ),
    Script(
        "an alarm that a failed run has set replaces its retry",
        (
            Calls([[["put", "$alarm", [["setAlarm", 100_000], ["throw", "no"]]]]]),
            Calls([[["setAlarm", 0]]]),
            Rung(1),
            Calls([[["sleep", 50], ["notes"], ["getAlarm"]]]),
        ),
    ),
    Script(
        "an alarm that a failed run has deleted is not tried again",
        (
            Calls([[["put", "$alarm", [["deleteAlarm"], ["throw", "no"]]]]]),
            Calls([[["setAlarm", 0]]]),
            Rung(1),
            Calls([[["sleep", 50], ["notes"], ["getAlarm"]]]),
        ),
    ),
)
