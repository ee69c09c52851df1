"""EDN histories: the models they are taken for, and what is asked and answered."""

import pytest

from jepsen_like.history import FaultSpan, History, MalformedHistoryError
from jepsen_like.readers import edn_history
from tests.jepsen_like.readers.told import brief, source


def _history(*pairs: tuple[str, str, str], model: str = "") -> History:
    """Operations (f, value asked, value answered), one after the other."""
    lines = [
        f"{{:process 0 :type {kind} {f} :value {value}}}"
        for f, asked, answered in pairs
        for kind, value in ((":invoke", asked), (":ok", answered))
    ]
    return edn_history.read(source("\n".join(lines)), model)


def _values(history: History) -> list[tuple[object, object]]:
    return [(each.argument, each.result) for each in history.operations]


@pytest.mark.parametrize(
    ("pairs", "model", "values"),
    [
        (
            [(":f :write", "1", "1"), (":f :read", "nil", "1")],
            "cas-register",
            [(1, None), (None, 1)],
        ),
        ([(":f :cas", "[1 2]", "[1 2]")], "cas-register", [((1, 2), True)]),
        (
            [(":f :acquire", "nil", "nil"), (":f :release", "nil", "nil")],
            "mutex",
            [(None, None), (None, None)],
        ),
        (
            [(":f :add", "5", "5"), (":f :read", "nil", "5")],
            "counter",
            [(5, None), (None, 5)],
        ),
        (
            [(":f :add", "5", "5"), (":f :read", "nil", "#{5 3}")],
            "set",
            [(5, None), (None, (3, 5))],
        ),
        ([(":f :add", "[0 1]", "[0 1]")], "set", [((0, 1), None)]),
        (
            [(":f :enqueue", "5", "5"), (":f :dequeue", "nil", "5")],
            "queue",
            [(5, None), (None, 5)],
        ),
        ([(":f :drain", "nil", "[5 6]")], "total-queue", [(None, (5, 6))]),
        (
            [
                (
                    ":f :txn",
                    "[[:write :x 1] [:read :y nil]]",
                    "[[:write :x 1] [:read :y 0]]",
                )
            ],
            "multi-register",
            [((("w", "x", 1), ("r", "y", None)), (("w", "x", 1), ("r", "y", 0)))],
        ),
        (
            [("", "[[:append 9 1] [:r 8 nil]]", "[[:append 9 1] [:r 8 nil]]")],
            "list-append",
            [((("append", 9, 1), ("r", 8, None)), (("append", 9, 1), ("r", 8, ())))],
        ),
        (
            [(":f :txn", "[[:r 8 nil]]", "[[:r 8 [1 2]]]")],
            "list-append",
            [((("r", 8, None),), (("r", 8, (1, 2)),))],
        ),
        (
            [(":f :txn", "[[:w :x 2] [:r :y nil]]", "[[:w :x 2] [:r :y nil]]")],
            "rw-register",
            [((("w", "x", 2), ("r", "y", None)), (("w", "x", 2), ("r", "y", None)))],
        ),
        (
            [
                (":f :write", "[[:w 0 1]]", "[[:w 0 1]]"),
                (":f :read", "[[:r 0 nil]]", "[[:r 0 1]]"),
            ],
            "long-fork",
            [((("w", 0, 1),), (("w", 0, 1),)), ((("r", 0, None),), (("r", 0, 1),))],
        ),
    ],
)
def test_model_follows_from_the_operations(
    pairs: list[tuple[str, str, str]], model: str, values: list[tuple[object, object]]
) -> None:
    """And with it what was asked and what came back."""
    history = _history(*pairs)

    assert history.header.model == model
    assert _values(history) == values


def test_register_holds_zero_in_the_beginning() -> None:
    """Knossos takes that for granted."""
    assert _history((":f :read", "nil", "0")).header.initial == 0


def test_read_of_nil_is_left_out_of_registers() -> None:
    """Knossos: nobody knows what it saw."""
    history = _history((":f :read", "nil", "nil"), (":f :write", "1", "1"))

    assert [each.f for each in history.operations] == ["write"]


def test_read_of_nil_is_left_out_of_transactions_on_many_registers() -> None:
    """The rest of the transaction stays."""
    history = _history(
        (":f :txn", "[[:read :x nil] [:write :y 1]]", "[[:read :x nil] [:write :y 1]]"),
        (":f :txn", "[[:read :x nil]]", "[[:read :x nil]]"),
    )

    assert _values(history) == [((("w", "y", 1),), (("w", "y", 1),))]


def test_pairs_of_jepsens_independent_tests_become_keys() -> None:
    """Each key is a register of its own."""
    history = _history(
        (":f :write", "[7 1]", "[7 1]"),
        (":f :cas", "[8 [1 2]]", "[8 [1 2]]"),
        (":f :read", "[7 nil]", "[7 1]"),
        (":f :read", "[:x nil]", "[:x nil]"),
    )

    assert [(each.key, each.argument, each.result) for each in history.operations] == [
        (7, 1, None),
        (8, (1, 2), True),
        (7, None, 1),
    ]


def test_pairs_that_are_values_stay_values() -> None:
    """A register may hold pairs; its reads are called with nil."""
    history = _history((":f :write", "[7 1]", "[7 1]"), (":f :read", "nil", "[7 1]"))

    assert [(each.key, each.argument) for each in history.operations] == [
        (None, (7, 1)),
        (None, None),
    ]


def test_key_value_lines_have_their_key_apart() -> None:
    """As porcupine writes them."""
    history = edn_history.read(
        source(
            '{:process 3, :type :invoke, :f :append, :key "0", :value "x \\"y"}\n'
            '{:process 4, :type :invoke, :f :get, :key "0", :value nil}\n'
            '{:process 3, :type :ok, :f :append, :key "0", :value "x \\"y"}\n'
            '{:process 4, :type :ok, :f :get, :key "0", :value ""}\n'
        )
    )

    assert (history.header.model, history.header.initial) == ("key-value", "")
    assert [brief(each) for each in history.operations] == [
        (3, "append", 'x "y', None, "ok"),
        (4, "get", None, "", "ok"),
    ]
    assert {each.key for each in history.operations} == {"0"}


def test_failed_operation_did_not_happen_and_says_why() -> None:
    """In EDN also a `cas`."""
    history = edn_history.read(
        source(
            "[{:type :invoke :process :a :f :cas :value [1 2]}"
            ' {:type :fail :process :a :f :cas :value [1 2] :error [:no "way"]}]'
        )
    )

    (operation,) = history.operations
    assert operation.outcome.value == "fail"
    assert (operation.result, operation.error) == (None, "[no way]")


def test_nemesis_is_a_fault_and_no_operation() -> None:
    """Its lines are as many as other processes', and it is none of them."""
    history = edn_history.read(
        source(
            "{:process :nemesis :type :info :f :start :value nil :time 5}\n"
            "#jepsen.history.Op{:process 0, :type :invoke :f :write :value 1 :time 6}\n"
            "{:process :nemesis :type :info :f :stop :time 8, :extra {:a #{1}}}\n"
            "{:process 0 :type :ok :f :write :value 1 :time 9}\n"
        )
    )

    assert history.faults == (FaultSpan("fault", 5, 8, (), "nil"),)
    assert [(each.called, each.returned) for each in history.operations] == [(6, 9)]
    assert history.header.timed


def test_byte_order_mark_is_no_form() -> None:
    """Some editors leave one."""
    history = edn_history.read(source("\ufeff{:type :invoke :f :acquire}"))

    assert history.header.model == "mutex"


def test_empty_file_is_an_empty_history() -> None:
    """Of a register, as most are."""
    history = edn_history.read(source("; nothing\n"))

    assert (history.operations, history.header.model) == ((), "cas-register")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{:type :invoke :f :pray}", r"no model is known .* pray"),
        ("\n{:type :done :f :read}", "h:2: `:type` is one of"),
        ("{:f :read}", "`:type` is one of"),
        ("[1 2]", "expected a map"),
        ("{:type :ok :value 3}", "`:f` says what was asked"),
        ("{:type :invoke :f :cas :value 1}", "expected new"),
        ("{:type :invoke :f :add}\n{:type :ok :f :read}", "h:2: .* called add"),
    ],
)
def test_what_is_no_history_is_refused(text: str, message: str) -> None:
    """With the reason and, where there is one, the line."""
    with pytest.raises(MalformedHistoryError, match=message):
        edn_history.read(source(text))


def test_model_that_the_operations_do_not_fit_is_refused() -> None:
    """What the user says is believed, and then contradicted by the file."""
    with pytest.raises(MalformedHistoryError, match="no operation 'read'"):
        _history((":f :read", "nil", "1"), model="mutex")
    with pytest.raises(MalformedHistoryError, match="micro-operations"):
        _history((":f :read", "1", "1"), model="list-append")
    with pytest.raises(MalformedHistoryError, match="no model 'horse'"):
        _history((":f :read", "nil", "1"), model="horse")
