"""
The demonstration's voice: numbered steps, measured figures, claims with verdicts.

A claim is something that was just checked.  One that does not hold is shown in
red at once, again at the end, and makes the whole demonstration fail.
"""

from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Claim:
    """What was claimed, the evidence, and whether it held."""

    text: str
    evidence: str
    holds: bool


class Narrator:
    """Tells the story on a console and remembers the claims."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.claims: list[Claim] = []
        self._steps = 0

    def step(self, title: str, why: str) -> None:
        """Open the next numbered step."""
        self._steps += 1
        self.console.print()
        self.console.print(Rule(f"[bold]{self._steps}. {title}[/]", align="left"))
        self.console.print(f"[dim]{why}[/]")

    def say(self, text: str) -> None:
        """Tell what was done or measured; *text* may carry rich markup."""
        self.console.print(Padding(text, (0, 0, 0, 2), expand=False))

    def show(self, what: RenderableType) -> None:
        """Show a table or the like."""
        self.console.print(what)

    def claim(self, text: str, evidence: str, *, holds: bool) -> None:
        """State what was checked, with the figures that show it."""
        self.claims.append(Claim(text, evidence, holds))
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(
            "[green] ✔[/]" if holds else "[bold red] ✘[/]",
            f"{'' if holds else '[bold red]FALSE:[/] '}{escape(text)}:"
            f" [dim]{escape(evidence)}[/]",
        )
        self.console.print(Padding(line, (0, 0, 0, 1), expand=False))

    def verdict(self, seconds: float) -> bool:
        """Close the story; return whether every claim held, and there were some."""
        failed = [claim for claim in self.claims if not claim.holds]
        self.console.print()
        self.console.print(Rule("[bold]Verdict[/]", align="left"))
        for claim in failed:
            text = f"{claim.text}: {claim.evidence}"
            self.console.print(f"  [bold red]✘ {escape(text)}[/]")
        held = len(self.claims) - len(failed)
        colour = "green" if self.claims and not failed else "bold red"
        self.console.print(
            f"  [{colour}]{held} of {len(self.claims)} claims hold[/],"
            f" in {seconds:.0f} s"
        )
        return bool(self.claims) and not failed
