"""
Generate kvnode/_pb from proto/: `make proto`.

The generated modules are checked in, so that installing needs no compiler;
tests/test_generated_proto.py keeps them up to date.
"""

import re
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[1]
PROTO = ROOT / "proto"
TARGET = ROOT / "kvnode" / "_pb"


def generate(target: Path) -> None:
    """
    Write the modules and stubs of every .proto file into *target*.

    The protos' package is kvnode.v1, while the modules live in kvnode._pb: the
    imports that protoc writes are rewritten to match.

    Raises:
        RuntimeError: protoc failed; it printed why.
    """
    target.mkdir(parents=True, exist_ok=True)
    sources = sorted(path.name for path in (PROTO / "kvnode" / "v1").glob("*.proto"))
    scripts = Path(sys.executable).parent
    arguments = [
        "protoc",
        f"--proto_path={PROTO / 'kvnode' / 'v1'}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
        f"--mypy_grpc_out=quiet:{target}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        msg = "protoc failed"
        raise RuntimeError(msg)
    for path in target.glob("*_grpc.py*"):
        text = path.read_text()
        for name in sources:
            module = name.removesuffix(".proto") + "_pb2"
            text = text.replace(
                f"import {module} as", f"from kvnode._pb import {module} as"
            )
            text = re.sub(
                rf"^import {module}$",
                f"from kvnode._pb import {module}",
                text,
                flags=re.MULTILINE,
            )
        path.write_text(text)
    (target / "__init__.py").write_text('"""Generated from proto/; do not edit."""\n')


if __name__ == "__main__":
    generate(TARGET)
