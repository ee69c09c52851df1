"""An object's database does what an ordinary one does, whatever happens to it."""

from tests.objects.storing.sql.sql_histories import SqlHistory

SEEDS = 60


def test_histories_agree_with_an_ordinary_database() -> None:
    """What is in the log makes the same, and fits the keys at every entry."""
    for seed in range(SEEDS):
        assert SqlHistory(seed).run() == [], f"seed {seed}"


def test_histories_change_and_lose_something() -> None:
    """Most of the queries succeed, and some of what they did is lost."""
    histories = [SqlHistory(seed) for seed in range(10)]
    for history in histories:
        history.run()

    entries = sum(len(history.desk.entries) for history in histories)
    assert entries > 50
