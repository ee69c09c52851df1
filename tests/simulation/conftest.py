"""Small limits for every simulation."""

from collections.abc import Iterator

import pytest

from cluster.simulated.knobs import small_limits


@pytest.fixture(autouse=True, scope="module")
def _small_limits() -> Iterator[None]:
    with small_limits():
        yield
