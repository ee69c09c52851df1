"""A real etcd keeps what an authority promises: killed, paused, with users and TLS."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jepsen_like.adapters.etcd import EtcdSystem
from jepsen_like.nemesis.faults import Kill, Pause, Resume, Start
from kvnode.authority.etcd.access import Access, read_access
from kvnode.authority.etcd.etcd_authority import EtcdAuthority
from kvnode.authority.port import Authority
from kvnode.core.objects.configuration import Configuration
from kvnode.errors import IndeterminateError, UnavailableError
from kvnode.objects_config import ObjectsConfig
from tests.authority.contract import FIRST, A, AuthorityContract, B
from tests.system.etcd_server import EtcdServer, etcd_server, skip_without_etcd

pytestmark = pytest.mark.system

PREFIX = "/kvnode/test/shards/"
USER, PASSWORD = "kvnode", "secret"
SHARD = "eu/1"
SECOND = FIRST.taken_over_by(B)


async def _answers(authority: EtcdAuthority) -> None:
    """Wait until etcd serves: it listens before it has a leader."""
    async with asyncio.timeout(30):
        while True:
            try:
                await authority.read(SHARD)
            except UnavailableError:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.fixture
async def etcd() -> AsyncIterator[EtcdSystem]:
    """Three members."""
    skip_without_etcd()
    system = EtcdSystem(("n1", "n2", "n3"))
    try:
        await system.set_up()
        yield system
    finally:
        await system.inject(Resume(system.nodes))
        await system.tear_down()


@pytest.fixture
async def authority(etcd: EtcdSystem) -> AsyncIterator[Authority]:
    """That of three members, holding nothing."""
    endpoints = tuple(f"127.0.0.1:{etcd.port(node)}" for node in etcd.nodes)
    authority = EtcdAuthority(Access(endpoints), PREFIX)
    yield authority
    await authority.close()


class TestEtcdAuthority(AuthorityContract):
    """That of a real etcd."""

    async def test_any_member_may_be_killed_or_paused(
        self, authority: Authority, etcd: EtcdSystem
    ) -> None:
        """Whichever leads; what was in doubt is decided by asking again."""
        held = await authority.swap(SHARD, None, FIRST)
        for node in etcd.nodes:
            for harm in (Kill((node,)), Pause((node,))):
                await etcd.inject(harm)
                held = await _taken_over(authority, held.epoch + 1)
                await etcd.inject(Resume((node,)))
                await etcd.inject(Start((node,)))
        assert await authority.read(SHARD) == held


async def _taken_over(authority: Authority, epoch: int) -> Configuration:
    async with asyncio.timeout(30):
        while True:
            try:
                held = await authority.read(SHARD)
                assert held is not None
                if held.epoch == epoch:
                    return held
                assert held.epoch == epoch - 1, "an epoch was skipped"
                return await authority.swap(SHARD, held, held.taken_over_by(A))
            except (UnavailableError, IndeterminateError):
                await asyncio.sleep(0.05)


async def test_user_with_rights_below_the_prefix_is_enough(tmp_path: Path) -> None:
    """And its token is renewed when etcd has started again."""
    async with etcd_server(tmp_path / "etcd") as server:
        access = Access((server.endpoint,), user=USER, password=PASSWORD)
        authority = EtcdAuthority(access, PREFIX)
        stranger = EtcdAuthority(access._replace(user="", password=""), PREFIX)
        elsewhere = EtcdAuthority(access, "/other/")
        wrong = EtcdAuthority(access._replace(password="wrong"), PREFIX)  # noqa: S106 -- it is
        await _answers(authority)
        await server.ask_who(USER, PASSWORD, PREFIX)

        assert await authority.swap(SHARD, None, FIRST) == FIRST
        with pytest.raises(UnavailableError, match="set objects_etcd_user"):
            await stranger.swap(SHARD, None, FIRST)
        with pytest.raises(UnavailableError, match="below the prefix"):
            await elsewhere.swap(SHARD, None, FIRST)
        with pytest.raises(UnavailableError, match="see objects_etcd_user"):
            await wrong.swap(SHARD, None, FIRST)

        await server.kill()
        await server.start()
        await _answers(authority)
        assert await authority.swap(SHARD, FIRST, SECOND) == SECOND
        for each in (authority, stranger, elsewhere, wrong):
            await each.close()


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(
        ["openssl", *arguments], cwd=directory, check=True, capture_output=True
    )


def _certificates(directory: Path) -> None:
    """Make ca.pem, which signs server.pem and node.pem, and other.pem, its own."""
    directory.mkdir()
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    new += ["-nodes", "-days", "2"]
    for name in ("ca", "other"):
        _openssl(
            directory,
            *new,
            *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"),
        )
    for name in ("server", "node"):
        _openssl(
            directory,
            *new,
            *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"),
            *("-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        )


def _over_tls(server: EtcdServer, **files: Path) -> EtcdAuthority:
    config = ObjectsConfig.model_validate(
        {
            "objects": ["Storage"],
            "objects_keepers": ["a"],
            "objects_etcd": [server.endpoint],
            **{f"objects_etcd_{name}_file": path for name, path in files.items()},
        }
    )
    return EtcdAuthority(read_access(config), PREFIX)


async def test_certificates_decide_who_talks_with_whom(tmp_path: Path) -> None:
    """Etcd's is checked, and so is the node's; what does not fit is told."""
    skip_without_etcd()
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: it makes the certificates")
    pems = tmp_path / "pems"
    await asyncio.to_thread(_certificates, pems)
    options = ["--cert-file", str(pems / "server.pem")]
    options += ["--key-file", str(pems / "server.key"), "--client-cert-auth"]
    options += ["--trusted-ca-file", str(pems / "ca.pem")]
    async with etcd_server(tmp_path / "etcd", scheme="https", options=options) as etcd:
        own = {"certificate": pems / "node.pem", "key": pems / "node.key"}
        right = _over_tls(etcd, ca=pems / "ca.pem", **own)
        unsigned = _over_tls(etcd, ca=pems / "other.pem", **own)
        nameless = _over_tls(etcd, ca=pems / "ca.pem")
        plain = EtcdAuthority(Access((etcd.address,)), PREFIX)

        await _answers(right)
        assert await right.swap(SHARD, None, FIRST) == FIRST
        with pytest.raises(UnavailableError, match="see objects_etcd_ca_file"):
            await unsigned.swap(SHARD, None, SECOND)
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await nameless.swap(SHARD, None, SECOND)
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await plain.swap(SHARD, None, SECOND)
        assert await right.read(SHARD) == FIRST
        for each in (right, unsigned, nameless, plain):
            await each.close()
