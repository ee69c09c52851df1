"""
How etcd is reached: read from the settings, and from the files that they name.

What is wrong with a file is found when the node starts, and not when a leader has died.
"""

import ssl
from pathlib import Path
from typing import Final, NamedTuple

import grpc

from kvnode.errors import ConfigError
from kvnode.objects_config import ObjectsConfig

FILE_BYTES_MAX: Final = 1024 * 1024
"""A system's bundle of authorities has 250 KB."""


class Access(NamedTuple):
    """
    Where etcd is, and who asks.

    Attributes:
        endpoints: host:port, perhaps behind http:// or https://.
        credentials: For TLS, which is spoken if they are given.
        user: As etcd knows it; empty if etcd asks nobody who they are.
        password: The user's.
    """

    endpoints: tuple[str, ...]
    credentials: grpc.ChannelCredentials | None = None
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Return it without the password: what is shown may be logged."""
        return f"Access(endpoints={self.endpoints!r}, user={self.user!r})"


def read_access(config: ObjectsConfig) -> Access:
    """
    Return how etcd is reached; blocks.

    Raises:
        ConfigError: A file cannot be read, or is not what it is to be.
    """
    assert config.objects_etcd, "there is an etcd"
    password = ""
    if config.objects_etcd_password_file is not None:
        password = _password(config.objects_etcd_password_file)
    return Access(
        config.objects_etcd,
        _credentials(config) if config.speaks_tls_with_etcd else None,
        config.objects_etcd_user,
        password,
    )


def _credentials(config: ObjectsConfig) -> grpc.ChannelCredentials:
    authorities, certificate, key = (
        config.objects_etcd_ca_file,
        config.objects_etcd_certificate_file,
        config.objects_etcd_key_file,
    )
    root_bytes: bytes | None = None
    certificate_bytes: bytes | None = None
    key_bytes: bytes | None = None
    checked = ssl.create_default_context()
    if authorities is not None:
        root_bytes = _read("objects_etcd_ca_file", authorities)
        try:
            checked.load_verify_locations(authorities)
        except ssl.SSLError as error:
            msg = (
                f"objects_etcd_ca_file: {authorities} has no certificate in PEM that"
                f" can be read: {error.reason or error}"
            )
            raise ConfigError(msg) from None
    if certificate is not None and key is not None:
        certificate_bytes = _read("objects_etcd_certificate_file", certificate)
        key_bytes = _read("objects_etcd_key_file", key)
        try:
            checked.load_cert_chain(certificate, key, password=lambda: "")
        except ssl.SSLError as error:
            msg = (
                f"objects_etcd_key_file: {key} is not the key, in PEM and without a"
                f" password, of the certificate in {certificate}:"
                f" {error.reason or error}"
            )
            raise ConfigError(msg) from None
    return grpc.ssl_channel_credentials(
        root_certificates=root_bytes,
        private_key=key_bytes,
        certificate_chain=certificate_bytes,
    )


def _password(path: Path) -> str:
    field = "objects_etcd_password_file"
    try:
        lines = _read(field, path).decode().splitlines()
    except UnicodeDecodeError:
        msg = f"{field}: {path} is not UTF-8"
        raise ConfigError(msg) from None
    if len(lines) != 1 or not lines[0]:
        msg = f"{field}: {path} must hold one line, which is the password"
        raise ConfigError(msg)
    return lines[0]


def _read(field: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        msg = f"{field}: {path} cannot be read: {error.strerror}"
        raise ConfigError(msg) from None
    if len(data) > FILE_BYTES_MAX:
        msg = f"{field}: {path} has more than {FILE_BYTES_MAX} bytes: is it right?"
        raise ConfigError(msg)
    return data
