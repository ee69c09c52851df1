"""
Which sites there are, how far apart, and how a cut divides them.

A topology is a value: sites with names and regions, and for every pair the time
that a message takes one way.  The three sites of the built-in one are a third of
the Earth apart from each other; their distances are what operators of public
clouds measure between Tokyo, Frankfurt and Northern Virginia, halved, since they
publish round trips (230, 90 and 150 ms).

Light in fibre needs about 5 ms per 1,000 km one way, so none of these can be
engineered away: a write that waits for another site pays them.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from cluster.errors import TopologyError, UnknownSiteError
from kvnode.types import Millis

SITES_MAX = 64
"""Each pair is a connection and an emulated link: 64 sites make 2,016."""

DELAY_MILLIS_MAX = 60_000
"""A minute: longer than any deadline a client has, so longer acts as a cut."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place with one node; *name* is the node's name."""

    name: str
    region: str


@dataclass(frozen=True, slots=True)
class Link:
    """The way between two sites; *delay* is one way, the same in both directions."""

    a: str
    b: str
    delay: Millis

    @property
    def ends(self) -> frozenset[str]:
        """The two sites' names."""
        return frozenset((self.a, self.b))


@dataclass(frozen=True, slots=True)
class Topology:
    """
    Sites and the links between them; a pair without a link is 0 ms apart.

    Raises:
        TopologyError: No sites, too many, a name twice, a link to an unknown
            site or to itself, a pair linked twice, or a delay out of range.
    """

    sites: tuple[Site, ...]
    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.sites) <= SITES_MAX:
            msg = f"a topology has 1 to {SITES_MAX} sites, not {len(self.sites)}"
            raise TopologyError(msg)
        names = self.names
        if len(set(names)) != len(names):
            msg = f"site names must differ: {', '.join(names)}"
            raise TopologyError(msg)
        seen: set[frozenset[str]] = set()
        for link in self.links:
            if not link.ends <= set(names) or link.a == link.b or link.ends in seen:
                msg = f"a link joins two sites once, not {link.a} and {link.b}"
                raise TopologyError(msg)
            if not 0 <= link.delay <= DELAY_MILLIS_MAX:
                msg = f"a delay is 0 to {DELAY_MILLIS_MAX} ms, not {link.delay}"
                raise TopologyError(msg)
            seen.add(link.ends)

    @property
    def names(self) -> tuple[str, ...]:
        """The sites' names, in order."""
        return tuple(site.name for site in self.sites)

    def site(self, name: str) -> Site:
        """
        Return the site called *name*.

        Raises:
            UnknownSiteError: There is none.
        """
        for site in self.sites:
            if site.name == name:
                return site
        raise UnknownSiteError(name, self.names)

    def others(self, name: str) -> tuple[str, ...]:
        """Return every name but *name*, in order; UnknownSiteError as `site`."""
        own = self.site(name).name
        return tuple(other for other in self.names if other != own)

    def delay(self, a: str, b: str) -> Millis:
        """Return the one-way delay between two sites in ms; UnknownSiteError."""
        ends = frozenset((self.site(a).name, self.site(b).name))
        found = [link.delay for link in self.links if link.ends == ends]
        return found[0] if found else Millis(0)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield every pair of sites once, in order."""
        return combinations(self.names, 2)

    def scaled(self, factor: float) -> "Topology":
        """
        Return this topology with every delay times *factor*, rounded.

        Raises:
            TopologyError: *factor* is negative, or a delay leaves its range.
        """
        if not 0 <= factor <= DELAY_MILLIS_MAX:
            msg = f"the distance factor must be 0 or more, not {factor}"
            raise TopologyError(msg)
        links = tuple(
            replace(link, delay=Millis(round(link.delay * factor)))
            for link in self.links
        )
        return replace(self, links=links)

    def divide(self, groups: Sequence[Collection[str]]) -> tuple[frozenset[str], ...]:
        """
        Return the groups of a cut, with the sites not named as one more group.

        Raises:
            UnknownSiteError: A group names a site that is not there.
            TopologyError: A group is empty, a site is in two groups, or there
                is only one group and nothing to cut it from.
        """
        named = [self.site(name).name for group in groups for name in group]
        if not all(groups) or len(set(named)) != len(named):
            msg = "every group of a cut needs a site, and every site is in one group"
            raise TopologyError(msg)
        divided = [frozenset(group) for group in groups]
        if rest := frozenset(self.names) - set(named):
            divided.append(rest)
        if len(divided) == 1:
            msg = "a cut needs two groups: name at least one site, but not all in one"
            raise TopologyError(msg)
        return tuple(divided)


def links_across(groups: Sequence[Collection[str]]) -> frozenset[frozenset[str]]:
    """Return the pairs of names whose ends are in different groups."""
    return frozenset(
        frozenset((a, b))
        for one, other in combinations(groups, 2)
        for a in one
        for b in other
    )


def parse_groups(words: Sequence[str]) -> list[list[str]]:
    """
    Read groups of names as people type them: `a | b,c` or `a -- b c`.

    Names are parted by blanks or commas, groups by `|` or `--`.  Nothing is
    checked here but that; `Topology.divide` judges the names.
    """
    text = " ".join("|" if word == "--" else word for word in words)
    return [part.replace(",", " ").split() for part in text.split("|")]


THREE_CITIES = Topology(
    sites=(
        Site("tokyo", "asia"),
        Site("frankfurt", "europe"),
        Site("virginia", "america"),
    ),
    links=(
        Link("tokyo", "frankfurt", Millis(115)),
        Link("frankfurt", "virginia", Millis(45)),
        Link("tokyo", "virginia", Millis(75)),
    ),
)
