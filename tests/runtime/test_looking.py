"""What nobody tells is found by looking, and looked for no longer than said."""

import asyncio

from kvnode.runtime.looking import looked_for
from tests.jepsen_like.virtual_time import run_virtually


def test_what_comes_true_in_time_is_found() -> None:
    """At the next look, and not at the end."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        found = await looked_for(
            lambda: loop.time() - start > 0.2, seconds_max=5.0, look_seconds=0.1
        )
        assert found
        assert 0.2 < loop.time() - start < 0.5

    run_virtually(scenario())


def test_what_does_not_is_given_up() -> None:
    """And told to be so."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        assert not await looked_for(lambda: False, seconds_max=1.0, look_seconds=0.1)
        assert 0.9 < loop.time() - start < 1.2

    run_virtually(scenario())
