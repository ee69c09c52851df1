"""
For all tests: none fails because the machine was busy, and coverage is soon known.

Tracing makes Python almost four times slower.  So of a property's examples the first
few are traced, as later ones go the same ways; and tests that go through thousands of
schedules, histories or merges are marked `no_cover`: small tests reach the same lines.
"""

import os
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

import pytest
from coverage import Coverage
from hypothesis import settings

TRACED_EXAMPLES = 20

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else it reports all that ends

settings.register_profile("kvnode", deadline=None)
settings.load_profile("kvnode")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Trace the first examples of a property only."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    coverage = Coverage.current()
    untraced = item.get_closest_marker("no_cover") is not None
    if handle is None or coverage is None or untraced:
        yield
        return
    inner: Callable[..., Any] = handle.inner_test
    if iscoroutinefunction(inner):
        yield
        return
    examples = 0

    @wraps(inner)
    def traced_at_first(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- whatever the test takes
        nonlocal examples
        examples += 1
        if examples == TRACED_EXAMPLES + 1:
            coverage.stop()
        return inner(*args, **kwargs)

    handle.inner_test = traced_at_first
    try:
        yield
    finally:
        handle.inner_test = inner
        if examples > TRACED_EXAMPLES:
            coverage.start()
