"""Claims and the verdict over them."""

from io import StringIO

from rich.console import Console

from cluster.demo.narrator import Narrator


def silent_narrator() -> tuple[Narrator, StringIO]:
    """A narrator whose words can be read afterwards."""
    out = StringIO()
    return Narrator(Console(file=out, width=120)), out


def test_one_false_claim_fails_the_whole_story_and_is_repeated() -> None:
    """However many claims hold, the one that does not decides."""
    narrator, out = silent_narrator()
    narrator.claim("the sky is blue", "seen", holds=True)
    narrator.claim("the moon is [near]", "measured", holds=False)

    assert not narrator.verdict(seconds=1)
    assert out.getvalue().count("the moon is [near]: measured") == 2
    assert "1 of 2 claims hold" in out.getvalue()


def test_story_without_claims_proves_nothing() -> None:
    """A story that broke off before its first check must not pass."""
    narrator, _ = silent_narrator()

    assert not narrator.verdict(seconds=1)


def test_story_holds_if_every_claim_does() -> None:
    """The good end."""
    narrator, _ = silent_narrator()
    narrator.claim("the sky is blue", "seen", holds=True)

    assert narrator.verdict(seconds=1)
