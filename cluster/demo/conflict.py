"""Two sites change one key while they cannot hear each other."""

from time import monotonic

from cluster.demo.stage import Stage
from cluster.demo.waiting import until
from kvnode.client import Conflict, Value

KEY = "flags/checkout"
ONE, OTHER = "tokyo", "virginia"
CHOICES = {ONE: "new-checkout: 10 %", OTHER: "new-checkout: off"}
SETTLE_SECONDS = 30.0


async def cause_conflict(stage: Stage) -> None:
    """Cut one node off, write the same key on both sides, heal, and compare."""
    narrator = stage.narrator
    narrator.step(
        f"Change the flag {KEY} in two places at once",
        f"The links of {ONE} are cut, so neither writer can know of the other. The"
        " later hybrid timestamp wins everywhere; the loser is kept for people to see.",
    )
    await stage.cluster.partition([[ONE]])
    narrator.say(f"cut: {ONE} | {', '.join(stage.others(ONE))}")
    for name in (ONE, OTHER):
        await stage.clients[name].put(KEY, CHOICES[name])
    apart = {name: _text(await stage.clients[name].get(KEY)) for name in CHOICES}
    for name, choice in apart.items():
        narrator.say(f"{name} wrote and reads [cyan]{choice!r}[/]")
    narrator.claim(
        "both sides took the write while cut off",
        "each reads its own value",
        holds=apart == CHOICES,
    )

    await stage.cluster.heal()
    healed = monotonic()
    merged = await until(lambda: _merged(stage), bool, SETTLE_SECONDS)
    took = monotonic() - healed
    values = {name: await stage.clients[name].get(KEY) for name in stage.clients}
    for name, value in values.items():
        narrator.say(f"{name} now reads [cyan]{_text(value)!r}[/]")
    winner = next(iter(values.values()))
    narrator.claim(
        "all three read the same value",
        f"{took:.2f} s after the links were opened",
        holds=merged and _text(winner) in CHOICES.values(),
    )
    if winner is not None:
        stage.acknowledged[KEY.encode()] = winner.value
    await _show_conflicts(stage, winner)


async def _merged(stage: Stage) -> bool:
    """Return whether all nodes hold the same version, with the loser noted."""
    found = [await client.get(KEY) for client in stage.clients.values()]
    versions = {value.version if value else None for value in found}
    return len(versions) == 1 and bool(await _conflicts(stage))


async def _conflicts(stage: Stage) -> list[tuple[str, Conflict]]:
    """Return the conflicts of the key, with the node that noticed each."""
    return [
        (name, conflict)
        for name, client in stage.clients.items()
        for conflict in await client.conflicts(KEY)
    ]


async def _show_conflicts(stage: Stage, winner: Value | None) -> None:
    noticed = await _conflicts(stage)
    for name, conflict in noticed:
        stage.narrator.say(
            f"{name} noted that [cyan]{conflict.value.decode()!r}[/] lost to version"
            f" {conflict.winner_version}"
        )
    lost = {choice for choice in CHOICES.values() if choice != _text(winner)}
    seen = {conflict.value.decode() for _, conflict in noticed}
    stage.narrator.claim(
        "the value that lost is in the conflict log",
        f"noted by {', '.join(sorted({name for name, _ in noticed})) or 'nobody'}",
        holds=len(lost) == 1 and lost <= seen,
    )


def _text(value: Value | None) -> str | None:
    return value.value.decode() if value else None
