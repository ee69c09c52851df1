"""Faults of the network, done by a proxy between nodes."""

from dataclasses import replace
from typing import assert_never

from cluster.fault_proxy import Conditions, FaultProxy, Passage
from jepsen_like.nemesis.faults import Cut, Disturb, Heal
from jepsen_like.system import NotPossibleError


def change_links(proxy: FaultProxy, fault: Cut | Disturb | Heal) -> None:
    """
    Do *fault* to the links that lead over *proxy*.

    A cut is silent: connections stay open, and what was sent comes through when
    it is healed.

    Raises:
        NotPossibleError: A proxy of streams cannot do it.
    """
    match fault:
        case Heal():
            proxy.heal()
        case Cut(links):
            for link in links:
                held = replace(proxy.conditions(link), passage=Passage.HELD)
                proxy.set(link, held)
        case Disturb(duplication=0, reordering=0):
            for link in fault.links:
                worse = Conditions(
                    proxy.conditions(link).passage,
                    delay_ms=fault.delay_ms,
                    jitter_ms=fault.jitter_ms,
                    loss=fault.loss,
                    bytes_per_second=fault.bytes_per_second,
                )
                proxy.set(link, worse)
        case Disturb():
            msg = "TCP lets nothing arrive twice or out of order"
            raise NotPossibleError(msg)
        case _:
            assert_never(fault)
