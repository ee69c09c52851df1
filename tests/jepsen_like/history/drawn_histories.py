"""Histories that hypothesis draws: any that can be, also such as nobody records."""

from hypothesis import strategies as st

from jepsen_like.history import (
    FOREVER,
    FaultSpan,
    Header,
    History,
    Operation,
    Outcome,
    Value,
)

_times = st.integers(0, 1000)
_texts = st.text(max_size=5)
_names = st.lists(_texts, max_size=2).map(tuple)

scalars: st.SearchStrategy[Value] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts
)
values: st.SearchStrategy[Value] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5
)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    """Any operation."""
    outcome = draw(st.sampled_from(Outcome))
    called = draw(_times)
    ended = FOREVER if outcome is Outcome.INFO else called + draw(_times)
    return Operation(
        draw(st.integers(-3, 10)),
        draw(st.text(min_size=1, max_size=5)),
        draw(st.none() | st.integers() | _texts),
        draw(values),
        draw(values),
        called,
        ended,
        outcome,
        draw(_texts),
        draw(_texts),
        draw(_texts),
    )


@st.composite
def _faults(draw: st.DrawFn) -> FaultSpan:
    began = draw(_times)
    return FaultSpan(
        draw(_texts), began, began + draw(_times), draw(_names), draw(_texts)
    )


_headers = st.builds(
    Header,
    workload=_texts,
    model=_texts,
    system=_texts,
    seed=st.none() | st.integers(),
    nodes=_names,
    timed=st.booleans(),
    initial=values,
)

histories: st.SearchStrategy[History] = st.builds(
    History.of,
    st.lists(operations(), max_size=6),
    st.lists(_faults(), max_size=3),
    _headers,
)
