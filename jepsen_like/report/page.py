"""
The page: one HTML file with everything in it, to be kept, sent, and opened.

Drawing is Plotly's work, escaping Jinja's.  Values of the tested system reach the
page only as text: they are data in a JSON block whose `<` are escaped.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.report.columns import Scale, columns, key_text, shown
from jepsen_like.report.series import latencies, throughput
from jepsen_like.verdict import Judgement, Witness, combined

WITNESSES_SHOWN_MAX = 10
WITNESS_ROWS_MAX = 40
"""A witness is small; one that is not is cut, and says so."""


@dataclass(frozen=True, slots=True)
class Subject:
    """
    What a page says beside the history and its judgements.

    Attributes:
        title: What was tested.
        replay: The command that does the same run again; empty if there is none.
        staleness_ms: How far behind each read was, if that was measured.
    """

    title: str
    replay: str = ""
    staleness_ms: tuple[float, ...] = ()


def write(
    history: History, judgements: Sequence[Judgement], path: Path, subject: Subject
) -> None:
    """
    Write the page of a run to *path*.

    Args:
        history: What was seen; readable up to about 100,000 operations.
        judgements: What the checkers found.
        path: The file; replaced if it is there.
        subject: The rest.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_text(render(history, judgements, subject), encoding="utf-8")


def render(history: History, judgements: Sequence[Judgement], subject: Subject) -> str:
    """Return the page of a run."""
    scale = Scale.of(history)
    resources = files("jepsen_like.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string(
        resources.joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    witnesses = [
        _witness(judgement.checker, witness, scale)
        for judgement in judgements
        for witness in judgement.witnesses
    ]
    return template.render(
        subject=subject,
        verdict=combined(judgements).value,
        judgements=judgements,
        has_reasons=any(judgement.reason for judgement in judgements),
        witnesses=witnesses[:WITNESSES_SHOWN_MAX],
        witnesses_left_out=max(0, len(witnesses) - WITNESSES_SHOWN_MAX),
        facts=_facts(history, scale),
        unit=scale.name,
        style=Markup(resources.joinpath("page.css").read_text(encoding="utf-8")),  # noqa: S704 -- our own file
        script=Markup(resources.joinpath("page.js").read_text(encoding="utf-8")),  # noqa: S704 -- our own file
        plotly=Markup(get_plotlyjs()),  # noqa: S704 -- the library itself
        data=_as_json(_data(history, judgements, scale, subject)),
    )


def _facts(history: History, scale: Scale) -> list[tuple[str, str]]:
    header = history.header
    counts = dict.fromkeys(Outcome, 0)
    for operation in history.operations:
        counts[operation.outcome] += 1
    length = scale.place(scale.end)
    facts = [
        ("system", header.system),
        ("workload", header.workload),
        ("model", header.model),
        ("seed", "" if header.seed is None else str(header.seed)),
        ("nodes", ", ".join(header.nodes)),
        ("operations", f"{len(history.operations):,}"),
        *((outcome.value, f"{count:,}") for outcome, count in counts.items()),
        ("length", f"{length / 1000:,.2f} s" if header.timed else f"{length:,.0f}"),
        ("faults", str(len(history.faults))),
    ]
    return [(name, text) for name, text in facts if text]


def _witness(checker: str, witness: Witness, scale: Scale) -> Mapping[str, object]:
    return {
        "checker": checker,
        "kind": witness.kind,
        "explanation": witness.explanation,
        "key": "" if witness.key is None else key_text(witness.key),
        "rows": [_row(o, scale) for o in witness.operations[:WITNESS_ROWS_MAX]],
        "left_out": max(0, len(witness.operations) - WITNESS_ROWS_MAX),
    }


def _row(operation: Operation, scale: Scale) -> tuple[str, ...]:
    returned = (
        "never" if operation.returned == FOREVER else scale.place(operation.returned)
    )
    return (
        str(operation.process),
        operation.node,
        operation.f,
        "" if operation.key is None else key_text(operation.key),
        shown(operation.argument),
        shown(operation.result),
        str(scale.place(operation.called)),
        str(returned),
        operation.outcome.value,
    )


def _data(
    history: History,
    judgements: Sequence[Judgement],
    scale: Scale,
    subject: Subject,
) -> dict[str, object]:
    marked = [o for j in judgements for w in j.witnesses for o in w.operations]
    keys = [key_text(w.key) for j in judgements for w in j.witnesses if w.key]
    return {
        "unit": scale.name,
        "length": scale.place(scale.end),
        "operations": columns(history, scale, marked),
        "show": keys[0] if keys else "",
        "faults": [
            {
                "kind": span.kind,
                "from": scale.place(span.began),
                "to": scale.place(span.ended),
                "nodes": ", ".join(span.nodes),
                "detail": span.detail,
            }
            for span in history.faults
        ],
        "throughput": throughput(history, scale)._asdict(),
        "latencies": [latency._asdict() for latency in latencies(history, scale)],
        "staleness": list(subject.staleness_ms),
    }


def _as_json(data: object) -> Markup:
    """Return *data* as JSON that ends no script block, whatever it holds."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 -- cannot end the block
