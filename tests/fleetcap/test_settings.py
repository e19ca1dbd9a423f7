"""Flags, then variables, then the file; a wrong value is named with its source."""

from pathlib import Path
from typing import Any

import pytest

from fleetcap.settings import WrongSettingError, load


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "PORTS", "BODY_LIMIT", "KAFKA", "IDLE_TIMEOUT_MS"):
        monkeypatch.delenv(f"FLEETCAP_{name}", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fleetcap.toml"
    path.write_text('body_limit = 3\nports = [1]\nnode_id = "from-file"\n[kafka]\n"linger.ms" = 7\n"enable.idempotence" = true\n')
    return path


def test_flags_win_over_variables_and_variables_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch):
    assert load({}, file).body_limit == 3
    monkeypatch.setenv("FLEETCAP_BODY_LIMIT", "2")
    assert load({}, file).body_limit == 2
    assert load({"body_limit": 1}, file).body_limit == 1
    assert load({"body_limit": None}, file).node_id == "from-file"


def test_the_file_can_be_named_by_a_variable(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLEETCAP_CONFIG", str(file))
    assert load({}).body_limit == 3


def test_lists_are_repeated_flags_commas_in_variables_arrays_in_the_file(file: Path, monkeypatch: pytest.MonkeyPatch):
    assert load({"ports": [443, 8443]}, file).ports == [443, 8443]
    assert load({}, file).ports == [1]
    monkeypatch.setenv("FLEETCAP_PORTS", "80, 443")
    assert load({}, file).ports == [80, 443]


def test_plain_ports_may_stand_several_in_one_flag(monkeypatch: pytest.MonkeyPatch):
    assert load({"plain": ["80,8080", "6379"]}).plain == [80, 8080, 6379]
    monkeypatch.setenv("FLEETCAP_PLAIN", "80, 443")
    assert load({}).plain == [80, 443]
    with pytest.raises(WrongSettingError, match="--plain"):
        load({"plain": ["80,http"]})


def test_any_option_of_the_client_can_be_given(file: Path, monkeypatch: pytest.MonkeyPatch):
    assert load({"kafka": ["sasl.username=me", "sasl.password=a=b"]}).kafka == {"sasl.username": "me", "sasl.password": "a=b"}
    assert load({}, file).kafka == {"linger.ms": "7", "enable.idempotence": "true"}
    monkeypatch.setenv("FLEETCAP_KAFKA", "security.protocol=SSL,ssl.ca.location=/ca")
    assert load({}).client_options() == {
        "security.protocol": "SSL",
        "ssl.ca.location": "/ca",
        "bootstrap.servers": "127.0.0.1:9092",
    }


@pytest.mark.parametrize(
    ("flags", "variables", "text", "message"),
    [
        ({"ports": [70000]}, {}, "", "flag --port=70000 cannot be used: input should be less than 65536"),
        ({}, {"FLEETCAP_BODY_LIMIT": "-1"}, "", "variable FLEETCAP_BODY_LIMIT=-1 cannot be used: "),
        ({}, {}, "idle_timeout_ms = 0", "fleetcap.toml: idle_timeout_ms=0 cannot be used: "),
        ({}, {}, "tyop = 1", "unknown setting tyop in "),
        ({}, {}, "tyop =", "cannot be read: "),
    ],
)
def test_a_wrong_value_is_named_with_its_source(
    flags: dict[str, Any],
    variables: dict[str, str],
    text: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "fleetcap.toml"
    path.write_text(text)
    with pytest.raises(WrongSettingError) as error:
        load(flags, path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_may_be_a_secret_is_never_repeated():
    with pytest.raises(WrongSettingError) as error:
        load({"kafka": ["sasl.password hunter2"]})
    assert "hunter2" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(WrongSettingError, match="nowhere"):
        load({}, tmp_path / "nowhere.toml")


def test_an_option_with_a_comma_in_it_can_stand_in_a_json_object(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLEETCAP_KAFKA", '{"sasl.password": "a,b=c", "linger.ms": 5}')
    assert load({}).kafka == {"sasl.password": "a,b=c", "linger.ms": "5"}
    monkeypatch.setenv("FLEETCAP_KAFKA", '{"sasl.password": "hunter2"')
    with pytest.raises(WrongSettingError, match="FLEETCAP_KAFKA cannot be used") as error:
        load({})
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("name", ["bootstrap.servers", "metadata.broker.list"])
def test_an_address_among_the_clients_options_is_refused_instead_of_ignored(name: str):
    with pytest.raises(WrongSettingError, match=r"flag --kafka cannot be used: .* a setting of its own, bootstrap_servers"):
        load({"kafka": [f"{name}=kafka:9092"]})


def test_the_kernels_buffer_is_a_power_of_two():
    with pytest.raises(WrongSettingError, match="flag --ring-pages=1000 cannot be used: it has to be a power of two"):
        load({"ring_pages": 1000})


def test_a_file_in_the_working_folder_is_not_read_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "fleetcap.toml").write_text('bootstrap_servers = "attacker:9092"\n')
    monkeypatch.chdir(tmp_path)
    assert load({}).bootstrap_servers == "127.0.0.1:9092"
