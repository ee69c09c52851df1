"""Import and export: nothing is lost by a crash, nothing bad goes in unseen."""

import json
from pathlib import Path

import pytest

from kvnode.cli.transfer import chunks
from kvnode.client import Kind
from kvnode.errors import DeadlineError, NamespaceNotFoundError, UnavailableError
from tests.cli.conftest import Run
from tests.cli.fake_client import FakeNode, a_value

FAR = 4e9  # seconds: in 2096


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_RECORDS_MAX", 10)


def _ndjson(file: Path, count: int) -> None:
    lines = [json.dumps({"key": f"k{i:03}", "value": str(i)}) for i in range(count)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _leftovers(directory: Path, *known: str) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name not in known)


def test_import_stores_all_and_leaves_nothing_behind(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """In batches of a bounded size."""
    _ndjson(tmp_path / "in.ndjson", 95)

    result = run("import", str(tmp_path / "in.ndjson"), "--json")

    assert json.loads(result.stdout) == {"imported": 95, "expired": 0, "rejected": 0}
    assert [len(batch) for batch in node.batches] == [10] * 9 + [5]
    assert node.values[b"k094"].value == b"94"
    assert _leftovers(tmp_path, "in.ndjson") == []


def test_last_line_of_a_key_wins(run: Run, node: FakeNode, tmp_path: Path) -> None:
    """However many batches are in flight."""
    file = tmp_path / "in.csv"
    rows = "".join(f"same,{number}\n" for number in range(100))
    file.write_text("key,value\n" + rows, encoding="utf-8")

    assert run("import", str(file)).exit_code == 0
    assert node.values[b"same"].value == b"99"


def test_interrupted_import_goes_on_where_it_was_acknowledged(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """Nothing acknowledged is sent again, nothing else is left out."""
    file = tmp_path / "in.ndjson"
    _ndjson(file, 100)
    node.failure, node.failure_after = UnavailableError("gone"), 6

    broken = run("import", str(file))
    node.failure, stored = None, len(node.values)
    node.batches.clear()
    resumed = run("import", str(file), "--resume", "--json")

    assert broken.exit_code == 3
    assert "--resume" in broken.stderr
    assert json.loads(resumed.stdout)["imported"] == 100
    assert len(node.values) == 100
    assert 0 < sum(map(len, node.batches)) <= 100 - stored + 40  # 4 in flight
    assert _leftovers(tmp_path, "in.ndjson") == []


def test_unknown_fate_ends_with_4_and_says_that_resuming_is_safe(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """A put of the same value twice is a put of that value."""
    _ndjson(tmp_path / "in.ndjson", 5)
    node.failure = DeadlineError("late")

    result = run("import", str(tmp_path / "in.ndjson"))

    assert result.exit_code == 4
    assert "stores the same values, so it is safe" in " ".join(result.stderr.split())


def test_resume_refuses_another_file_or_namespace(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """An offset into one file means nothing in another."""
    file = tmp_path / "in.ndjson"
    _ndjson(file, 100)
    node.failure, node.failure_after = UnavailableError("gone"), 6
    run("import", str(file))
    node.failure = None

    elsewhere = run("import", str(file), "--resume", "-n", "other")
    file.write_text('{"key":"z","value":"z"}\n', encoding="utf-8")
    replaced = run("import", str(file), "--resume")

    assert (elsewhere.exit_code, replaced.exit_code) == (2, 2)
    assert "namespace" in elsewhere.stderr
    assert "not the file" in replaced.stderr


def test_bad_line_ends_the_import_and_can_be_mended(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """The message names file and line; what came before stays."""
    file = tmp_path / "in.ndjson"
    _ndjson(file, 60)
    good = file.read_text(encoding="utf-8")
    file.write_text(good.replace('"k045", ', '"k045" '), encoding="utf-8")

    broken = run("import", str(file))
    file.write_text(good, encoding="utf-8")
    mended = run("import", str(file), "--resume")

    assert broken.exit_code == 2
    assert "line 46: not JSON" in broken.stderr
    assert mended.exit_code == 0
    assert len(node.values) == 60


def test_skipped_lines_are_kept_aside_and_counted(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """They can be mended and imported by themselves."""
    file = tmp_path / "in.csv"
    file.write_text('key,value\na,1\nb\n"c","2\n3"\n,4\n', encoding="utf-8")

    result = run("import", str(file), "--skip-bad", "--json")

    assert json.loads(result.stdout) == {"imported": 2, "expired": 0, "rejected": 2}
    rejected = tmp_path / "in.csv.rejected"
    assert rejected.read_text(encoding="utf-8") == "b\n,4\n"
    assert node.values[b"c"].value == b"2\n3"


def test_skipped_lines_are_not_kept_twice_by_a_resumed_import(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """The rejected file is cut back to what was acknowledged."""
    file = tmp_path / "in.ndjson"
    _ndjson(file, 100)
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[5], lines[95] = "bad five", "bad ninety-five"
    file.write_text("\n".join(lines), encoding="utf-8")
    node.failure, node.failure_after = UnavailableError("gone"), 8

    run("import", str(file), "--skip-bad")
    rejects = tmp_path / "in.ndjson.rejected"
    with rejects.open("a", encoding="utf-8") as target:
        target.write("written, but never acknowledged\n")
    node.failure = None
    run("import", str(file), "--skip-bad", "--resume")

    assert rejects.read_text(encoding="utf-8") == "bad five\nbad ninety-five\n"


def test_expired_entries_are_left_out(run: Run, node: FakeNode, tmp_path: Path) -> None:
    """An old export holds some; they are no errors."""
    file = tmp_path / "in.ndjson"
    file.write_text(
        '{"key":"old","value":"","expires_at":5}\n'
        f'{{"key":"new","value":"","expires_at":{FAR}}}\n',
        encoding="utf-8",
    )

    result = run("import", str(file), "--json")

    assert json.loads(result.stdout) == {"imported": 1, "expired": 1, "rejected": 0}
    assert list(node.values) == [b"new"]


def test_rejected_batch_ends_with_2(run: Run, node: FakeNode, tmp_path: Path) -> None:
    """An unknown namespace is no reason to go on trying."""
    _ndjson(tmp_path / "in.ndjson", 100)
    node.failure = NamespaceNotFoundError("users")

    result = run("import", str(tmp_path / "in.ndjson"), "-n", "users")

    assert result.exit_code == 2
    assert "users" in result.stderr


@pytest.mark.parametrize("name", ["in.txt", "in.parquet"])
def test_unknown_format_is_asked_for(run: Run, name: str, tmp_path: Path) -> None:
    """Guessing would import nonsense."""
    result = run("import", str(tmp_path / name))

    assert result.exit_code == 2
    assert "--format" in result.stderr


@pytest.mark.parametrize("name", ["out.csv", "out.ndjson"])
def test_export_and_import_give_the_same_store(
    run: Run, node: FakeNode, name: str, tmp_path: Path
) -> None:
    """Values, metadata and expiry survive the round trip."""
    node.page_max = 7
    before = {
        f"k{i}".encode(): a_value(
            b'x\n",' * (i % 3), metadata={"i": i}, expires_at=FAR if i % 2 else None
        )
        for i in range(30)
    }
    node.values = dict(before)

    exported = run("export", str(tmp_path / name))
    node.values = {}
    imported = run("import", str(tmp_path / name))

    assert (exported.exit_code, imported.exit_code) == (0, 0)
    assert node.values == before
    assert _leftovers(tmp_path, name) == []


@pytest.mark.parametrize("name", ["out.csv", "out.ndjson"])
def test_interrupted_export_goes_on_to_the_same_file(
    run: Run, node: FakeNode, name: str, tmp_path: Path
) -> None:
    """Bytes after the last noted page are cut off, not kept twice."""
    node.page_max = 7
    node.values = {f"k{i:02}".encode(): a_value() for i in range(30)}
    run("export", str(tmp_path / f"whole-{name}"))
    node.failure, node.failure_after = UnavailableError("gone"), 2

    broken = run("export", str(tmp_path / name))
    with (tmp_path / f"{name}.partial").open("ab") as partial:
        partial.write(b"half a line")
    node.failure = None
    resumed = run("export", str(tmp_path / name), "--resume", "--json")

    assert broken.exit_code == 3
    assert not (tmp_path / f"{name}.partial").exists()
    assert json.loads(resumed.stdout)["exported"] == 30
    whole = (tmp_path / f"whole-{name}").read_bytes()
    assert (tmp_path / name).read_bytes() == whole


def test_resumed_export_must_ask_for_the_same(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """Half of one prefix and half of another are no export."""
    node.page_max = 2
    node.values = {f"k{i}".encode(): a_value() for i in range(9)}
    node.failure, node.failure_after = UnavailableError("gone"), 2
    run("export", str(tmp_path / "out.csv"))
    node.failure = None

    result = run("export", str(tmp_path / "out.csv"), "--resume", "--prefix", "k")

    assert result.exit_code == 2
    assert "prefix" in result.stderr


def test_export_leaves_out_what_import_could_not_merge(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """A counter that comes back as text would be a lost counter."""
    node.values = {b"a": a_value(), b"c": a_value(b"5", kind=Kind.COUNTER)}

    result = run("export", str(tmp_path / "out.ndjson"), "--json")

    assert json.loads(result.stdout) == {"exported": 1, "left_out": 1}


def test_export_does_not_overwrite_unasked(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """With --overwrite, the old file stays until the new one is whole."""
    file = tmp_path / "out.ndjson"
    file.write_text("precious", encoding="utf-8")
    node.values = {b"a": a_value()}
    node.failure = UnavailableError("gone")

    assert run("export", str(file)).exit_code == 2
    assert run("export", str(file), "--overwrite").exit_code == 3
    assert file.read_text(encoding="utf-8") == "precious"

    node.failure = None
    assert run("export", str(file), "--overwrite").exit_code == 0
    assert json.loads(file.read_text(encoding="utf-8"))["key"] == "a"
