"""
How long public histories take: the logs that Jepsen made of etcd.

They are not part of this package.  The directory given has them somewhere below it,
named as porcupine's repository names them, and beside them or above a
`manifest.json`: a list of objects with `path`, relative to it, and `expected`,
whether it is linearizable.
"""

import json
from functools import partial
from pathlib import Path

from jepsen_like.benchmarks.section import Section
from jepsen_like.checkers.linearizable import check
from jepsen_like.history.history import History
from jepsen_like.readers import Format, read
from jepsen_like.verdict import Judgement, Verdict, Witness

MANIFEST = "manifest.json"
_AIM_S = 1.0


class NoManifestError(ValueError):
    """A directory has no list of histories that we can read."""


def _listed(directory: Path) -> dict[Path, bool]:
    """Return the etcd logs of the manifest, and whether they are linearizable."""
    path = directory / MANIFEST
    try:
        entries = json.loads(path.read_text("utf-8"))[:]  # only lists have parts
        return {
            directory / entry["path"]: entry["expected"]
            for entry in entries
            if entry["format"] == "jepsen-log"
        }
    except OSError as error:
        msg = f"{path}: {error.strerror}; it should list the histories"
        raise NoManifestError(msg) from error
    except (ValueError, TypeError, KeyError) as error:
        msg = f"{path}: not a list of objects with path, format and expected"
        raise NoManifestError(msg) from error


def _all_logs(logs: dict[Path, bool]) -> History:
    """Return all logs as one history: each is a key, by its path."""
    operations = [
        operation._replace(key=str(path))
        for path in logs
        for operation in read(str(path), format_=Format.JEPSEN_LOG)[1].operations
    ]
    return History.of(operations)


def _judge(history: History, *, logs: dict[Path, bool]) -> Judgement:
    """Judge each log by itself: VALID if all verdicts are as they should be."""
    parts = history.by_key()
    for path, expected in logs.items():
        part = History(tuple(parts.get(str(path), ())), header=history.header)
        judgement = check(part, "cas-register")
        if (judgement.verdict is Verdict.VALID) is not expected:
            reason = f"{path}: {judgement.verdict.value} is wrong"
            witness = Witness("wrong verdict", reason)
            return Judgement("public", Verdict.INVALID, reason, (witness,))
    return Judgement("public", Verdict.VALID)


def sections(directory: Path) -> tuple[Section, ...]:
    """
    Return what is measured of the histories in *directory*.

    Raises:
        NoManifestError: It has no manifest.
    """
    logs = _listed(directory)
    return (
        Section(
            f"linearizable cas-register, {len(logs)} public logs of etcd",
            _AIM_S,
            partial(_all_logs, logs),
            partial(_judge, logs=logs),
            Verdict.VALID,
        ),
    )
