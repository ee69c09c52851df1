"""Systems are found by their names, and made without starting anything."""

import pytest

from jepsen_like.adapters import SYSTEMS, system_named


@pytest.mark.parametrize("name", SYSTEMS)
def test_system_is_made_by_its_name(name: str) -> None:
    """With the nodes that a plan names."""
    system = system_named(name, ("x", "y"))
    assert system.nodes == ("x", "y")
    assert "2" in system.name


def test_unknown_system_is_refused_with_those_there_are() -> None:
    """A misspelt name is found out at once."""
    with pytest.raises(ValueError, match="no system 'etc'") as refused:
        system_named("etc", ("x",))

    for name in ("simulated", *SYSTEMS, "module:attribute"):
        assert name in str(refused.value)
