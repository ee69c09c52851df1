"""Real nodes that are frozen: suspected, taken for dead, and alive again (M1)."""

import asyncio

import pytest

from tests.system.nodes import Fleet, ServedNode, converged, logged

pytestmark = pytest.mark.system

FROZEN_SECONDS = 15.0


async def test_frozen_process_is_dead_to_others_until_it_goes_on(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """Both of them tell, writes go on, and nobody else is accused."""
    a, b, c = trio
    client = await fleet.client(a)
    loop = asyncio.get_running_loop()
    frozen_at = loop.time()
    b.pause()
    try:
        await client.put("meanwhile", b"v")
        await logged("b does not answer", a, c)
        await logged("b is taken for dead", a, c)
        await asyncio.sleep(max(0.0, frozen_at + FROZEN_SECONDS - loop.time()))
    finally:
        b.resume()

    await logged("b is alive again", a, c)

    await converged(*trio)
    assert not any("is taken for dead" in line for line in b.log.splitlines())
    assert "c is taken" not in a.log
    assert "a is taken" not in c.log
