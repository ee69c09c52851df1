"""Settings: which layer wins, and what a person reads who got one wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kvnode.address import split_address
from kvnode.config import NodeConfig, PeerConfig, load
from kvnode.core.objects.settings import SETTINGS_DEFAULT
from kvnode.errors import ConfigError
from kvnode.setting_types import SIZE_UNITS

MIB = 1024 * 1024

WRONG = {
    "name": "no spaces",
    "region": "x" * 65,
    "cluster": "a/b",
    "listen": "127.0.0.1",
    "advertise": "host:0",
    "http": "8080",
    "peers": "tokyo=nowhere",
    "seeds": "host:99999",
    "objects": "Counter",
    "objects_variables_file": "no/such/file",
    "objects_voters": "not a name",
    "objects_lease_ms": "601",
    "objects_history_hours": "-1",
    "objects_history_bytes": "1",
    "objects_keepers": "a,not a name",
    "objects_etcd": "ftp://etcd:2379",
    "objects_etcd_prefix": "shards",
    "objects_etcd_ca_file": "no/such/file",
    "objects_etcd_certificate_file": "no/such/file",
    "objects_etcd_key_file": "no/such/file",
    "objects_etcd_user": "two words",
    "objects_etcd_password_file": "no/such/file",
    "objects_spread": "perhaps",
    "objects_moved": "perhaps",
    "objects_port": "65536",
    "objects_calls_port": "65536",
    "durability": "hopeful",
    "relaxed_sync_interval_ms": "0",
    "map_bytes": "1 flob",
    "disk_reserve_bytes": "-1",
    "delta_interval_ms": "soon",
    "gap_patience_ms": "1.5",
    "outbox_bytes_max": "1",
    "delta_page_bytes": "5MiB",
    "delta_sessions_max": "0",
    "bootstrap_bytes_per_second": "fast",
    "inbox_operations_max": "99999999999",
    "inbox_bytes_max": "1KiB",
    "clock_offset_max_ms": "",
    "join_patience_ms": "600001",
    "forget_interval_ms": "9",
    "scan_interval_ms": "daily",
    "repair_automatically": "perhaps",
    "repair_bytes_per_second": "1 KiB",
    "fault_injection": "perhaps",
    "link_delays_ms": "tokyo",
    "log_level": "loud",
    "namespaces": "_mine",
}


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "kvnode.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_longest_lease_is_the_one_that_replicas_count_on() -> None:
    """A replica that has started is not sealed for so long, and no longer."""
    assert NodeConfig().objects_lease_ms == SETTINGS_DEFAULT.lease_max
    with pytest.raises(ConfigError, match="objects_lease_ms"):
        load(None, {"objects_lease_ms": str(SETTINGS_DEFAULT.lease_max + 1)}, {})


def test_nothing_given_gives_the_defaults() -> None:
    """A node starts with no settings at all."""
    assert load(None, {}, {}) == NodeConfig()


def test_later_layer_wins_field_by_field(tmp_path: Path) -> None:
    """File, then environment, then flags; what a layer leaves out stays."""
    file = _file(tmp_path, 'name = "file"\nregion = "file"\ncluster = "file"')

    config = load(
        file,
        {"name": "flag", "region": None},
        {"KVNODE_NAME": "env", "KVNODE_REGION": "env", "PATH": "/bin"},
    )

    assert (config.name, config.region, config.cluster) == ("flag", "env", "file")


def test_file_can_be_named_by_the_environment(tmp_path: Path) -> None:
    """KVNODE_CONFIG is used unless --config is there."""
    file = _file(tmp_path, 'name = "tokyo"')

    assert load(None, {}, {"KVNODE_CONFIG": str(file)}).name == "tokyo"


def test_lists_mean_the_same_in_every_layer(tmp_path: Path) -> None:
    """Strings, tables and comma separated text name the same peers."""
    file = _file(
        tmp_path,
        'peers = ["tokyo=a:1", {name = "paris", address = "b:2"}, "[::1]:3"]\n'
        'namespaces = ["x", "y"]\n[link_delays_ms]\ntokyo = 80\nparis = 12',
    )

    by_flags = load(
        None,
        {
            "peers": "tokyo=a:1, paris=b:2, [::1]:3",
            "namespaces": "x,y",
            "link_delays_ms": "tokyo=80,paris=12",
        },
        {},
    )

    assert load(file, {}, {}) == by_flags
    assert by_flags.peers[2] == PeerConfig(name="", address="[::1]:3")
    assert by_flags.link_delays_ms == {"tokyo": 80, "paris": 12}


@given(number=st.integers(16, 1024), unit=st.sampled_from(["MiB", "GiB"]))
def test_size_with_a_unit_is_that_many_bytes(number: int, unit: str) -> None:
    """Units are powers of 1,024, in any case, with or without a space."""
    expected = number * SIZE_UNITS[unit.lower()]
    for text in (f"{number}{unit}", f"{number} {unit.upper()}", str(expected)):
        assert load(None, {"map_bytes": text}, {}).map_bytes == expected


@given(text=st.text(max_size=30))
def test_any_text_for_an_address_is_taken_or_refused_by_name(text: str) -> None:
    """No text makes anything but a config or a complaint about `seeds`."""
    try:
        config = load(None, {"seeds": [text]}, {})
    except ConfigError as error:
        assert str(error).startswith("seeds = ")  # noqa: PT017 - either way is right
    else:
        host, port = split_address(config.seeds[0])
        assert host
        assert 0 < port <= 65535


def test_every_field_has_a_wrong_value_below() -> None:
    """A new setting joins the test of complaints by one line in WRONG."""
    assert WRONG.keys() == NodeConfig.model_fields.keys() - {"data_directory"}


@pytest.mark.parametrize(("field", "value"), WRONG.items())
def test_complaint_names_field_value_and_origin(field: str, value: str) -> None:
    """Whatever is wrong, the line says which setting, what, and from where."""
    with pytest.raises(ConfigError) as caught:
        load(None, {field: value}, {})

    line = str(caught.value)
    assert line.startswith(f"{field} = ")
    assert f"flag --{field.replace('_', '-')}" in line
    assert "\n" not in line


def test_complaints_come_all_at_once_each_with_its_origin(tmp_path: Path) -> None:
    """Three wrong settings in three layers are three lines."""
    file = _file(tmp_path, "delta_sessions_max = true")

    with pytest.raises(ConfigError) as caught:
        load(file, {"log_level": "loud"}, {"KVNODE_LISTEN": "nowhere"})

    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any(f"(from file {file})" in line for line in lines)
    assert any("environment variable KVNODE_LISTEN" in line for line in lines)
    assert any("must be 'debug', 'info'" in line for line in lines)


@pytest.mark.parametrize("layer", ["file", "environment", "flags"])
def test_misspelt_setting_is_refused_in_every_layer(layer: str, tmp_path: Path) -> None:
    """An ignored typing error would be found out in production."""
    file = _file(tmp_path, "lisen = 'a:1'") if layer == "file" else None
    environ = {"KVNODE_LISEN": "a:1"} if layer == "environment" else {}
    flags = {"lisen": "a:1"} if layer == "flags" else {}

    with pytest.raises(ConfigError, match=r"lisen: .* did you mean listen"):
        load(file, flags, environ)


def test_variables_of_kubernetes_and_of_the_client_are_no_settings() -> None:
    """A service called kvnode must not keep its own pods from starting."""
    environ = {
        "KVNODE_SERVICE_HOST": "10.0.0.1",
        "KVNODE_SERVICE_PORT_GRPC": "7400",
        "KVNODE_PORT": "tcp://10.0.0.1:7400",
        "KVNODE_PORT_7400_TCP_ADDR": "10.0.0.1",
        "KVNODE_ENDPOINTS": "a:1",
        "KVNODE_NAMESPACE": "x",
        "KVNODE_SEEDS": "",
    }

    assert load(None, {}, environ) == NodeConfig()


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        ({"seeds": "a:1,a:1"}, "seeds"),
        ({"peers": "x=a:1,x=b:2"}, "peers"),
        ({"peers": "x=a:1,y=a:1"}, "peers"),
        ({"namespaces": "a,a"}, "namespaces"),
        ({"map_bytes": "16MiB", "disk_reserve_bytes": "16MiB"}, "disk_reserve_bytes"),
        ({"listen": "0.0.0.0:7400", "seeds": "a:1"}, "advertise"),
    ],
)
def test_settings_that_contradict_each_other_blame_one(
    flags: dict[str, str], field: str
) -> None:
    """What no field can know alone is said of the one to change."""
    with pytest.raises(ConfigError, match=f"^{field} = "):
        load(None, flags, {})


@pytest.mark.parametrize("text", ["[broken", "\udcff"])
def test_unreadable_file_is_named(text: str, tmp_path: Path) -> None:
    """Neither broken TOML nor broken UTF-8 ends in a traceback."""
    file = tmp_path / "kvnode.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(ConfigError, match=r"^config: .*kvnode\.toml"):
        load(file, {}, {})


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file that was asked for is never silently left out."""
    with pytest.raises(ConfigError, match=r"nothing\.toml.*No such file"):
        load(tmp_path / "nothing.toml", {}, {})


def test_config_cannot_be_changed() -> None:
    """What runs is what was checked."""
    config = NodeConfig()

    with pytest.raises(ValidationError, match="frozen"):
        config.name = "other"  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    ("listen", "advertise", "expected"),
    [
        ("127.0.0.1:0", "", "127.0.0.1:4711"),
        ("[::1]:0", "", "[::1]:4711"),
        ("0.0.0.0:7400", "tokyo.example:80", "tokyo.example:80"),
    ],
)
def test_advertised_address_has_the_port_that_was_bound(
    listen: str, advertise: str, expected: str
) -> None:
    """Port 0 is for the kernel to choose, not for others to dial."""
    config = NodeConfig(listen=listen, advertise=advertise)

    assert config.advertised(4711) == expected


def test_node_with_peers_names_who_leads_objects() -> None:
    """Each node would have another object of the same name."""
    with pytest.raises(ConfigError, match=r"objects_voters.* 1, 3 or 5 nodes"):
        load(None, {"objects": "Storage", "seeds": "127.0.0.1:7400"}, {})
    assert load(None, {"objects": "a.b:C,Storage"}, {}).objects == ("a.b:C", "Storage")


WITH_ETCD = {"objects": "Storage", "objects_keepers": "a,b,c", "objects_etcd": "e:2379"}


def test_etcd_takes_the_place_of_voters() -> None:
    """Peers are no hindrance then; endpoints are as people write them."""
    config = load(
        None,
        {
            **WITH_ETCD,
            "seeds": "127.0.0.1:7400",
            "objects_etcd": "http://e1:2379/,[::1]:2379",
        },
        {},
    )

    assert config.objects_etcd == ("http://e1:2379", "[::1]:2379")
    assert not config.speaks_tls_with_etcd


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"objects_voters": "a,b,c"}, r"objects_voters = .*name .* in objects_keepers"),
        ({"objects_keepers": ""}, r"objects_keepers = .*name 1, 3 or 5 nodes"),
        ({"objects_keepers": "a,b"}, r"objects_keepers = .*2 survive no more"),
        ({"objects_keepers": "a,b,a"}, r"objects_keepers = .*more than once"),
        ({"objects_etcd": "e:2379,e:2379"}, r"objects_etcd = .*more than once"),
        ({"objects": ""}, r"objects_etcd = .*set objects, too"),
        ({"objects_etcd": ""}, r"objects_keepers = .*name them in objects_voters"),
        ({"objects_etcd": "https://e:1,f:1"}, r"objects_etcd = .*before none"),
        ({"objects_etcd_user": "u"}, r"objects_etcd_password_file = .*_user is"),
        ({"objects_etcd_password_file": "F"}, r"objects_etcd_user = .*_file is"),
        ({"objects_etcd_ca_file": "F"}, r"objects_etcd_ca_file = .*write https://"),
        (
            {"objects_etcd": "https://e:1", "objects_etcd_key_file": "F"},
            r"objects_etcd_certificate_file = .*_key_file is",
        ),
        (
            {"objects_etcd": "https://e:1", "objects_etcd_certificate_file": "F"},
            r"objects_etcd_key_file = .*_certificate_file is",
        ),
    ],
)
def test_contradiction_about_etcd_is_told(
    tmp_path: Path, changed: dict[str, str], complaint: str
) -> None:
    """Which setting, and what it is to be."""
    file = _file(tmp_path, "something")
    flags = {
        name: str(file) if value == "F" else value for name, value in changed.items()
    }

    with pytest.raises(ConfigError, match=complaint):
        load(None, {**WITH_ETCD, **flags}, {})


def test_variables_are_of_no_use_without_objects(tmp_path: Path) -> None:
    """Nobody would find them."""
    file = str(_file(tmp_path, "{}"))

    with pytest.raises(ConfigError, match=r"objects_variables_file = .*set objects"):
        load(None, {"objects_variables_file": file}, {})
    assert load(
        None, {"objects": "shop:Cart", "objects_variables_file": file}, {}
    ).objects_variables_file == Path(file)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("objects_etcd_prefix", "/kvnode/"),
        ("objects_etcd_ca_file", "F"),
        ("objects_etcd_user", "u"),
        ("objects_etcd_password_file", "F"),
    ],
)
def test_setting_of_etcd_is_of_no_use_without_one(
    tmp_path: Path, field: str, value: str
) -> None:
    """Who sets it expects something of it."""
    text = str(_file(tmp_path, "something")) if value == "F" else value

    with pytest.raises(ConfigError, match=f"{field} = .*of no use without"):
        load(None, {field: text}, {})
