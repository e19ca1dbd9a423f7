"""How a connection begins: what the server offers, who the client is. Passwords and what stands for them are stepped over."""

import re
from enum import IntFlag
from typing import Final, NamedTuple

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.mysql.wire import integer, string, zero_ended
from fleetcap_streams.protocols.shown import VALUES, text


class Capability(IntFlag):
    """Those that change the bytes to come, or are worth telling."""

    LONG_PASSWORD = 1  # the name of old; MariaDB clears it, as the sign that its own capabilities follow
    CONNECT_WITH_DB = 1 << 3
    COMPRESS = 1 << 5
    LOCAL_FILES = 1 << 7
    PROTOCOL_41 = 1 << 9
    SSL = 1 << 11
    SECURE_CONNECTION = 1 << 15
    MULTI_STATEMENTS = 1 << 16
    MULTI_RESULTS = 1 << 17
    PLUGIN_AUTH = 1 << 19
    CONNECT_ATTRIBUTES = 1 << 20
    LENGTH_ENCODED_AUTH = 1 << 21
    SESSION_TRACK = 1 << 23
    DEPRECATE_EOF = 1 << 24
    OPTIONAL_METADATA = 1 << 25
    ZSTD = 1 << 26
    QUERY_ATTRIBUTES = 1 << 27


_VERSION: Final = re.compile(rb"[0-9]+\.[0-9]+[!-~ ]*")
PROTOCOLS: Final = (9, 10)  # first byte of a greeting
LONGEST: Final = 512  # bytes of a greeting
SSL_REQUEST: Final = 32  # bytes of a login that stops before the user: the rest comes encrypted


class Greeting(NamedTuple):
    """What the server says first."""

    version: bytes
    connection: int
    capabilities: int
    plugin: bytes

    def facts(self) -> dict[str, Attribute]:
        """As attributes."""
        return {
            "operation": "greeting",
            "server_version": text(self.version),
            "connection_id": self.connection,
            "capabilities": self.capabilities,
            "auth_plugin": text(self.plugin),
        }


def greeting(payload: bytes) -> Greeting | None:
    """The content of a greeting (protocol 10 or 9), or None where it is none."""
    version, at = zero_ended(payload, 1)
    if payload[:1] not in (b"\x09", b"\x0a") or not _VERSION.fullmatch(version) or len(payload) < at + 4:
        return None
    connection = int.from_bytes(payload[at : at + 4], "little")
    at += 4 + 8 + 1  # the salt's first part and a zero
    capabilities = int.from_bytes(payload[at : at + 2], "little") | int.from_bytes(payload[at + 5 : at + 7], "little") << 16
    salt = max(13, payload[at + 7] - 8) if len(payload) > at + 7 else 13
    plugin = zero_ended(payload, at + 18 + salt)[0] if capabilities & Capability.PLUGIN_AUTH else b""
    return Greeting(version, connection, capabilities, plugin)


class Login(NamedTuple):
    """What the client answers."""

    capabilities: int
    user: bytes
    database: bytes
    plugin: bytes
    attributes: dict[str, str]

    def facts(self, operation: str) -> dict[str, Attribute]:
        """As attributes, those that say something."""
        facts: dict[str, Attribute] = {
            "operation": operation,
            "user": text(self.user),
            "database": text(self.database),
            "auth_plugin": text(self.plugin),
            "connection_attributes": self.attributes or None,
            "capabilities": self.capabilities or None,
        }
        return {name: value for name, value in facts.items() if value not in ("", None)}


def capabilities_of(payload: bytes) -> int:
    """What the client of a login is capable of."""
    low = int.from_bytes(payload[:2], "little")
    return int.from_bytes(payload[:4], "little") if low & Capability.PROTOCOL_41 else low


def login(payload: bytes) -> Login:
    """The content of the client's login; cut short where it was."""
    capabilities = capabilities_of(payload)
    if not capabilities & Capability.PROTOCOL_41:
        user, at = zero_ended(payload, 5)
        at = zero_ended(payload, at)[1] if capabilities & Capability.CONNECT_WITH_DB else at
        database = zero_ended(payload, at)[0] if capabilities & Capability.CONNECT_WITH_DB else b""
        return Login(capabilities, user, database, b"", {})
    user, at = zero_ended(payload, 32)
    if capabilities & Capability.LENGTH_ENCODED_AUTH:
        size, at = integer(payload, at)
        at += max(size, 0)
    elif capabilities & Capability.SECURE_CONNECTION:
        at += 1 + payload[at] if at < len(payload) else 0
    else:
        at = zero_ended(payload, at)[1]
    return _rest(payload, at, capabilities, user, database=bool(capabilities & Capability.CONNECT_WITH_DB))


def change_user(payload: bytes, capabilities: int) -> Login:
    """The content of COM_CHANGE_USER."""
    user, at = zero_ended(payload, 1)
    at += 1 + payload[at] if at < len(payload) else 0
    database, at = zero_ended(payload, at)
    changed = _rest(payload, at + 2, capabilities or Capability.PLUGIN_AUTH, user, database=False)
    return changed._replace(database=database, capabilities=0)


def _rest(payload: bytes, at: int, capabilities: int, user: bytes, *, database: bool) -> Login:
    """Database, plugin and attributes, which end both kinds of login."""
    name, plugin = b"", b""
    if database:
        name, at = zero_ended(payload, at)
    if capabilities & Capability.PLUGIN_AUTH:
        plugin, at = zero_ended(payload, at)
    attributes: dict[str, str] = {}
    if capabilities & Capability.CONNECT_ATTRIBUTES:
        _, at = integer(payload, at)
        while at < len(payload) and len(attributes) < VALUES:
            key, at = string(payload, at)
            value, at = string(payload, at)
            attributes[text(key or b"")] = text(value or b"")
    return Login(capabilities, user, name, plugin, attributes)
