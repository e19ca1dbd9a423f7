"""The JSON of INFO and CONNECT: shown without what proves an identity, and the facts in it. Text only, no messages."""

from typing import Any, Final, NamedTuple

import msgspec

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.shown import HIDDEN, text

# As nats-server reads them into its options; it minds no case. `nkey` and `sig` prove who holds a key, `jwt` is who that is.
_SECRETS: Final = frozenset(("pass", "password", "auth_token", "token", "jwt", "sig", "nkey", "proxy_sig"))
_INFO: Final = {
    "server_id": "server_id",
    "server_name": "server_name",
    "version": "server_version",
    "host": "host",
    "port": "port",
    "max_payload": "max_payload",
    "cluster": "cluster",
    "jetstream": "jetstream",
    "auth_required": "auth_required",
    "tls_required": "tls_required",
}
_CONNECT: Final = {
    "name": "client_name",
    "lang": "client_language",
    "version": "client_version",
    "user": "user",
    "verbose": "verbose",
    "pedantic": "pedantic",
    "tls_required": "tls_required",
}


class Greeting(NamedTuple):
    """What an INFO or a CONNECT says; `text` is empty, and `hid` true, where it is no JSON object."""

    text: bytes
    hid: bool
    facts: dict[str, Attribute]
    verbose: bool | None = None  # None: does not say


_UNREADABLE: Final = Greeting(b"", hid=True, facts={})  # it may hold a secret in a place that cannot be told


def read(verb: bytes, line: bytes) -> Greeting:
    """The object that stands behind a verb."""
    try:
        members = msgspec.json.decode(line)
        if not isinstance(members, dict):
            return _UNREADABLE
        shown, hid = _without_secrets(members)
        written = msgspec.json.encode(shown)
    except (RecursionError, ValueError):  # msgspec's own errors are ValueErrors
        return _UNREADABLE
    names = _INFO if verb == b"INFO" else _CONNECT
    verbose = members.get("verbose")
    facts = {names[key]: _fact(value) for key, value in members.items() if key in names and _is_fact(value)}
    return Greeting(written, hid, facts, verbose if isinstance(verbose, bool) else None)


def _without_secrets(members: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    hidden = {key for key, value in members.items() if key.casefold() in _SECRETS and value not in ("", None)}
    return {key: HIDDEN if key in hidden else value for key, value in members.items()}, bool(hidden)


def _is_fact(value: Any) -> bool:
    return isinstance(value, bool | int) or (isinstance(value, str) and value != "")


def _fact(value: str | int) -> Attribute:
    return text(value.encode()) if isinstance(value, str) else value
