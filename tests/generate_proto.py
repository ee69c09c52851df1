"""
Generate kvnode/_pb from proto/: `make proto`.

The generated modules are checked in, so that installing needs no compiler;
tests/test_generated_proto.py keeps them up to date.
"""

import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc_tools import protoc

ROOT = Path(__file__).parents[1]
PROTO = ROOT / "proto"
TARGET = ROOT / "kvnode" / "_pb"


def generate(target: Path) -> None:
    """
    Write the modules and stubs of every .proto file into *target*.

    The protos' package is kvnode.v1, while the modules live in kvnode._pb: the
    imports that protoc writes are rewritten to match.  Files are registered as
    kvnode/v1/kv.proto and so on: a process has one registry of file names, and a
    bare kv.proto is taken by the clients of etcd.

    Raises:
        RuntimeError: protoc failed; it printed why.
    """
    target.mkdir(parents=True, exist_ok=True)
    sources = sorted(
        str(path.relative_to(PROTO)) for path in PROTO.glob("kvnode/v1/*.proto")
    )
    scripts = Path(sys.executable).parent
    with TemporaryDirectory() as scratch:
        arguments = [
            "protoc",
            f"--proto_path={PROTO}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
            f"--python_out={scratch}",
            f"--grpc_python_out={scratch}",
            f"--mypy_out=quiet:{scratch}",
            f"--mypy_grpc_out=quiet:{scratch}",
            *sources,
        ]
        if protoc.main(arguments) != 0:
            msg = "protoc failed"
            raise RuntimeError(msg)
        for path in Path(scratch, "kvnode", "v1").iterdir():
            text = path.read_text().replace(
                "from kvnode.v1 import", "from kvnode._pb import"
            )
            (target / path.name).write_text(text)
    (target / "__init__.py").write_text('"""Generated from proto/; do not edit."""\n')


if __name__ == "__main__":
    generate(TARGET)
