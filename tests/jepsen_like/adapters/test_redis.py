"""Redis has a primary and one replica: no more nodes, no fewer."""

import pytest

from jepsen_like.adapters.redis import RedisSystem


@pytest.mark.parametrize("count", [1, 3])
def test_other_number_of_nodes_than_two_is_refused_with_the_option(count: int) -> None:
    """Three are the usual number, so everybody runs into it."""
    with pytest.raises(ValueError, match=f"2 nodes here, not {count}: give --nodes 2"):
        RedisSystem([f"n{number}" for number in range(count)])
