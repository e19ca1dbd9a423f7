"""Names connections and describes them as the schema does; plain functions over what the kernel told.

A connection's name is printable and holds no thread: many threads may serve one connection. Its parts are

    node.boot.process.process start.socket.inode.first seen          a socket is known
    node.boot.process.process start.tls.SSL object.first seen        none is: a memory BIO

with addresses and times in base 36. The time at which the tap first saw the connection parts it from an earlier one that had
the same addresses, and from what an earlier run of the tap saw of it, whose positions began at another byte.
"""

import re
from pathlib import Path

from fleetcap_producer.records import Described
from fleetcap_proto.v1 import common_pb2

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ROLES = {1: common_pb2.ROLE_CLIENT, 2: common_pb2.ROLE_SERVER}
_SOURCES = {
    1: common_pb2.SOURCE_OPENSSL,
    2: common_pb2.SOURCE_SOCKET,
    3: common_pb2.SOURCE_GNUTLS,
    5: common_pb2.SOURCE_GO_TLS,
}
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_CONTAINER = re.compile(r"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")


def base36(number: int) -> str:
    """A number that is not negative, in digits and lower-case letters."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits


def boot_id() -> str:
    """The kernel's boot id (random(4)); empty where it cannot be read."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def connection_uuid(node_id: str, boot: str, seen: Described) -> str:
    """The connection's name, the Kafka key of all its records. `boot` is the boot id, of which eight digits are enough."""
    parts = [_UNSAFE.sub("-", node_id), boot[:8], str(seen.tgid), base36(seen.process_start)]
    if seen.sock:
        parts += [base36(seen.sock), base36(seen.inode)]
    else:
        parts += ["tls", base36(seen.session)]
    return ".".join([*parts, base36(seen.first_seen)])


def container_id(pid: int) -> str:
    """The container a process is in, by the 64 hexadecimal digits that runtimes put into cgroup paths; empty for none."""
    try:
        found = _CONTAINER.findall(Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii", errors="replace"))
    except OSError:
        return ""
    return found[-1] if found else ""


def new_connection(uuid: str, seen: Described, library: str, container: str) -> common_pb2.Connection:
    """A connection as first seen, revision 0."""
    connection = common_pb2.Connection(
        uuid=uuid,
        tid=seen.tid,
        source=_SOURCES.get(seen.source, common_pb2.SOURCE_UNSPECIFIED),
        library=library,
        joined=not seen.begun,
        process=common_pb2.Process(
            pid=seen.tgid,
            comm=seen.comm,
            start_ns=seen.process_start,
            uid=seen.uid,
            parent_pid=seen.parent,
            command_line=seen.command_line,
            container_id=container,
        ),
    )
    learn(connection, seen)
    return connection


def learn(connection: common_pb2.Connection, seen: Described) -> bool:
    """Takes over what became known of the socket; says whether that changed anything. The name stays as it is."""
    before = connection.SerializeToString(deterministic=True)
    if seen.fd >= 0:
        connection.fd = seen.fd
    if seen.sock:
        connection.sock = seen.sock
    for endpoint, ip, port in (
        (connection.local, seen.local, seen.local_port),
        (connection.remote, seen.remote, seen.remote_port),
    ):
        if ip:
            endpoint.ip, endpoint.port = ip, port
    if seen.role in _ROLES:
        connection.role = _ROLES[seen.role]
    if seen.tls_version:
        connection.tls_version = seen.tls_version
    return connection.SerializeToString(deterministic=True) != before
