"""All settings, typed, from three places: flags, then FLEETCAP_* variables, then a TOML file.

It owns where a value comes from, so that a wrong one can be named with its source. It must not know commands.
"""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

PREFIX = "FLEETCAP_"
SYSTEM_FILE = Path("/etc/fleetcap/fleetcap.toml")
# These may hold secrets, so a wrong one is named but never shown.
HIDDEN = frozenset({"kafka"})
ADDRESSES = frozenset({"bootstrap.servers", "metadata.broker.list"})


WHO = ("pids", "comms", "uids", "ports", "cgroups", "programs")
_LISTS = (*WHO, *(f"exclude_{name}" for name in WHO), "libraries", "mask_headers")


class WrongSettingError(Exception):
    """A setting cannot be used. One line: its name, its value, where it came from, what is allowed."""


class Settings(BaseSettings):
    """Every setting of every command. Times are milliseconds, sizes are bytes.

    Lists are given as repeated flags, as comma-separated text in variables, as arrays in the file. The file that is read by
    default is the system's: one in the working folder could make root ship what it sees to anybody's broker.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    bootstrap_servers: str = Field("127.0.0.1:9092", min_length=1)
    kafka: Annotated[dict[str, str], NoDecode] = {}  # librdkafka's options
    topic_prefix: str = Field("", pattern=r"^[a-zA-Z0-9._-]*$")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"

    node_id: str = Field(default_factory=socket.gethostname, min_length=1)
    pids: Annotated[list[Annotated[int, Field(gt=0)]], NoDecode] = []
    comms: Annotated[list[str], NoDecode] = []
    uids: Annotated[list[Annotated[int, Field(ge=0)]], NoDecode] = []
    ports: Annotated[list[Annotated[int, Field(gt=0, lt=65536)]], NoDecode] = []
    cgroups: Annotated[list[str], NoDecode] = []
    programs: Annotated[list[Path], NoDecode] = []
    exclude_pids: Annotated[list[Annotated[int, Field(gt=0)]], NoDecode] = []
    exclude_comms: Annotated[list[str], NoDecode] = []
    exclude_uids: Annotated[list[Annotated[int, Field(ge=0)]], NoDecode] = []
    plain: Annotated[list[Annotated[int, Field(gt=0, lt=65536)]], NoDecode] = []
    exclude_ports: Annotated[list[Annotated[int, Field(gt=0, lt=65536)]], NoDecode] = []
    exclude_cgroups: Annotated[list[str], NoDecode] = []
    exclude_programs: Annotated[list[Path], NoDecode] = []
    libraries: Annotated[list[Path], NoDecode] = []
    ring_pages: int = Field(8192, gt=0, le=1 << 18)
    max_call_bytes: int = Field(8 << 20, ge=1 << 14, le=8 << 20)
    queue_bytes: int = Field(512 << 20, ge=1 << 20)
    spool: Path | None = None
    spool_bytes: int = Field(1 << 30, ge=1 << 24)
    spool_drop: Literal["newest", "oldest"] = "newest"

    mask_headers: Annotated[list[str], NoDecode] = []
    mask_patterns: Annotated[list[str], NoDecode] = []
    harden: Literal["off", "on", "freeze"] = "on"
    record_keys: Path | None = None
    record_keys_command: str = ""

    group: str = Field("fleetcap", min_length=1)
    idle_timeout_ms: int = Field(1000, gt=0)
    idle_grace_ms: int = Field(500, ge=0)
    socket_timeout_ms: int = Field(30 * 60 * 1000, gt=0)
    body_limit: int = Field(64 * 1024, ge=0, le=1 << 20)
    checkpoint_interval_ms: int = Field(200, gt=0)
    tick_interval_ms: int = Field(500, gt=0)
    session_timeout_ms: int = Field(10_000, ge=6000)
    stall_timeout_ms: int = Field(120_000, ge=30_000)
    processes: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = 1
    instance_id: str = Field("", pattern=r"^[a-zA-Z0-9._-]*$")
    secrets: bool = False
    secrets_file: Path | None = None
    ecapture: bool = False
    web_host: str = "127.0.0.1"
    web_port: int | None = Field(None, gt=0, lt=65536)

    @field_validator(*_LISTS, mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("plain", mode="before")
    @classmethod
    def _ports(cls, value: object) -> object:
        """Flags, too, may hold several."""
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, list):
            return value
        return [part.strip() for one in given for part in str(one).split(",") if part.strip()]

    @field_validator("mask_patterns", mode="before")
    @classmethod
    def _lines(cls, value: object) -> object:
        """By lines, as a pattern may well hold commas."""
        return [line for line in value.splitlines() if line] if isinstance(value, str) else value

    @field_validator("kafka", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        options = _options(value)
        for name in sorted(ADDRESSES & options.keys()):
            raise ValueError(f"{name} is a setting of its own, bootstrap_servers")
        return options

    @field_validator("ring_pages")
    @classmethod
    def _is_a_power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("it has to be a power of two")
        return value

    def client_options(self) -> dict[str, str]:
        """Librdkafka's options with the address among them."""
        return {**self.kafka, "bootstrap.servers": self.bootstrap_servers}


def _options(value: object) -> dict[str, str]:
    """Options of the Kafka client from a table, from `name=value` texts, or from one text of either kind.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):  # for values that hold a comma
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("it begins like a JSON object and is none") from None  # the original repeats the value
    if isinstance(value, Mapping):
        return {str(name): str(item).lower() if isinstance(item, bool) else str(item) for name, item in value.items()}
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all("=" in part for part in parts):
        raise ValueError("give options as name=value, with librdkafka's names")
    return {name.strip(): item.strip() for name, _, item in (part.partition("=") for part in parts)}


def load(flags: Mapping[str, Any], file: Path | None = None) -> Settings:
    """Merge the three sources; `flags` holds only what was given, by field name.

    Raises:
        WrongSettingError: a value is not allowed, a name in the file is unknown, or the file cannot be read.
    """
    path = _file(file)

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources = (init_settings, env_settings)
            return sources if path is None else (*sources, TomlConfigSettingsSource(settings_cls, path))

    given = {name: value for name, value in flags.items() if value not in (None, [], ())}
    try:
        return Loaded(**given)
    except ValidationError as error:
        raise WrongSettingError(_describe(error, given, path)) from None  # the original repeats values
    except (SettingsError, ValueError, OSError) as error:
        raise WrongSettingError(f"the configuration {path or 'in the environment'} cannot be read: {error}") from error


def _file(given: Path | None) -> Path | None:
    named = given or (Path(os.environ[PREFIX + "CONFIG"]) if os.environ.get(PREFIX + "CONFIG") else None)
    if named is not None:
        if not named.is_file() or not os.access(named, os.R_OK):
            raise WrongSettingError(f"the configuration file {named} cannot be read; give another with --config")
        return named
    return SYSTEM_FILE if SYSTEM_FILE.is_file() and os.access(SYSTEM_FILE, os.R_OK) else None


def _describe(error: ValidationError, flags: Mapping[str, Any], path: Path | None) -> str:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    if first["type"] == "extra_forbidden":
        return f"unknown setting {name} in {path}; the README lists those there are"
    why = first["msg"].removeprefix("Value error, ")
    value = "" if name in HIDDEN else f"={first['input']!s}"
    return f"{_source(name, flags, path)}{value} cannot be used: {why[:1].lower()}{why[1:]}"


def _source(name: str, flags: Mapping[str, Any], path: Path | None) -> str:
    if name in flags:
        return f"flag {flag_name(name)}"
    variable = PREFIX + name.upper()
    # Variables' names are matched whatever their case.
    if any(key.upper() == variable for key in os.environ):
        return f"variable {variable}"
    return f"{path}: {name}"


def flag_name(name: str) -> str:
    """How a setting is called on the command line; repeatable ones are in the singular there."""
    singular = {"pids": "pid", "comms": "comm", "uids": "uid", "ports": "port", "cgroups": "cgroup", "libraries": "library"}
    return "--" + singular.get(name, name).replace("_", "-")
