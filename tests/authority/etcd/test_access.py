"""How etcd is reached: files that are wrong are told of when the node starts."""

from pathlib import Path

import pytest

from kvnode.authority.etcd.access import read_access
from kvnode.errors import ConfigError
from kvnode.objects_config import ObjectsConfig


def _config(**settings: object) -> ObjectsConfig:
    return ObjectsConfig.model_validate(
        {
            "objects": ["Storage"],
            "objects_keepers": ["a"],
            "objects_etcd": ["https://etcd:2379"],
            **settings,
        }
    )


def _file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "file"
    file.write_text(text, encoding="utf-8")
    return file


def test_plain_endpoints_need_no_credentials() -> None:
    """With or without http:// before them."""
    access = read_access(_config(objects_etcd=["etcd:2379", "http://other:2379"]))

    assert access.credentials is None
    assert access.endpoints == ("etcd:2379", "http://other:2379")


def test_endpoints_behind_https_speak_tls() -> None:
    """With gRPC's own list of authorities, if no others are named."""
    assert read_access(_config()).credentials is not None


def test_password_is_the_line_of_its_file(tmp_path: Path) -> None:
    """Editors end it with a newline; and it is not shown."""
    file = _file(tmp_path, "se cret\n")
    access = read_access(
        _config(objects_etcd_user="kvnode", objects_etcd_password_file=file)
    )

    assert (access.user, access.password) == ("kvnode", "se cret")
    assert "se cret" not in repr(access)


@pytest.mark.parametrize("text", ["", "\n", "two\nlines\n"])
def test_file_without_one_line_is_no_password(tmp_path: Path, text: str) -> None:
    """It says which file."""
    file = _file(tmp_path, text)

    with pytest.raises(ConfigError, match=f"objects_etcd_password_file: {file} must"):
        read_access(_config(objects_etcd_user="k", objects_etcd_password_file=file))


@pytest.mark.parametrize(
    "fields",
    [
        ["objects_etcd_ca_file"],
        ["objects_etcd_key_file", "objects_etcd_certificate_file"],
    ],
)
def test_file_without_pem_is_told_of(tmp_path: Path, fields: list[str]) -> None:
    """And not when a leader has died."""
    file = _file(tmp_path, "no PEM")

    with pytest.raises(ConfigError, match=f"{fields[0]}: {file} "):
        read_access(_config(**dict.fromkeys(fields, file)))


def test_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """It is another one."""
    file = _file(tmp_path, "x" * 2_000_000)

    with pytest.raises(ConfigError, match="is it right"):
        read_access(_config(objects_etcd_ca_file=file))


def test_file_that_has_gone_is_told_of(tmp_path: Path) -> None:
    """Between the settings and the start."""
    file = _file(tmp_path, "x")
    config = _config(objects_etcd_ca_file=file)
    file.unlink()

    with pytest.raises(ConfigError, match=r"objects_etcd_ca_file: .*No such file"):
        read_access(config)
