"""The checked-in protobuf modules are what the compiler makes of proto/."""

from importlib.metadata import version
from pathlib import Path

from tests.generate_proto import TARGET, generate

TOOLS = ("grpcio-tools", "mypy-protobuf")


def test_generated_modules_are_up_to_date(tmp_path: Path) -> None:
    """Byte for byte: whoever changes a .proto file runs `make proto`."""
    generate(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = {p.name: p.read_bytes() for p in TARGET.iterdir() if p.is_file()}
    tools = ", ".join(f"{name} {version(name)}" for name in TOOLS)

    assert made.keys() == kept.keys(), "run `make proto`, or remove what is left over"
    different = sorted(name for name in made if made[name] != kept[name])
    assert not different, (
        f"{', '.join(different)}: not what {tools} make of proto/; run `make proto`,"
        " and if the .proto files are unchanged, mind that other versions of the"
        " tools write other text"
    )
