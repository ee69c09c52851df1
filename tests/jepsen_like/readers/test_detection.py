"""Which format a file is in."""

from pathlib import Path

import pytest

from jepsen_like.history import Header, History, MalformedHistoryError, json_lines
from jepsen_like.readers import Format, Initial, detect, read
from tests.jepsen_like.readers.told import source

LOG_LINE = "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"jepsen_like":1}\n', Format.JSON_LINES),
        (LOG_LINE, Format.JEPSEN_LOG),
        ("starting up\n" * 100 + LOG_LINE, Format.JEPSEN_LOG),
        ('{:process 0, :type :invoke, :f :get, :key "7"}', Format.KV_LINES),
        ("{:process 0, :type :invoke}", Format.EDN),
        ("{:f :read :error {:key 3}}", Format.EDN),
        ("\ufeff{:process 0, :type :invoke}", Format.EDN),
        ("\n; history\n ({:process 0, :type :invoke})", Format.EDN),
        ("#jepsen.history.Op{:process 0}", Format.EDN),
        ("# made by hand\n{:process 0}", Format.EDN),
        ("w(1,2,3,4)\n", Format.PLUME),
        ("r 1 2\n", Format.AWDIT),
        ("-----\nr 1 2\n", Format.AWDIT),
        ("", Format.EDN),
    ],
)
def test_beginning_tells_the_format(text: str, expected: Format) -> None:
    """Nobody has to say what can be seen."""
    assert detect(source(text)) is expected


def test_empty_log_is_told_by_its_name() -> None:
    """It has no line to be known by."""
    assert detect(source("", "etcd_095.log")) is Format.JEPSEN_LOG


def test_unknown_text_is_refused_with_the_formats_there_are() -> None:
    """So that the user can say."""
    with pytest.raises(MalformedHistoryError, match=r"beginning 'hello'.*awdit"):
        detect(source("hello\n"))


def test_detection_reads_nothing_away() -> None:
    """The reader begins at the beginning, also of a pipe."""
    told = source("w(1,2,3,4)\n")
    detect(told)

    assert list(told.lines()) == ["w(1,2,3,4)"]


def test_what_the_user_says_wins(tmp_path: Path) -> None:
    """Over what the file says, and over what the format takes for granted."""
    path = tmp_path / "h"
    json_lines.write(History((), header=Header(model="mutex", initial=3)), path)

    assert read(str(path))[1].header == Header(model="mutex", initial=3)
    header = read(str(path), model="register", initial=Initial(None))[1].header
    assert header == Header(model="register", initial=None)


def test_progress_is_told(tmp_path: Path) -> None:
    """To whoever shows it."""
    path, told = tmp_path / "h.txt", list[int]()
    path.write_text("w(1,2,3,4)\n")

    found, history = read(str(path), progress=told.append)

    assert (found, len(history.operations)) == (Format.PLUME, 1)
    assert told == [path.stat().st_size]
