"""Packets of captured connections: which flows are given out and when, and what the file says of them."""

import io
import ipaddress
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap.commands.packets import create
from fleetcap.inputs.pcapng import read_pcapng
from fleetcap_producer import packets
from fleetcap_producer.packets import Flows
from fleetcap_producer.pcapng import PcapngWriter
from fleetcap_producer.sniffing import End, Packet, parse
from fleetcap_proto.v1 import common_pb2

SECOND = 1_000_000_000
SYN, SYN_ACK, ACK = 0x02, 0x12, 0x10


def ip_packet(source: tuple[str, int], destination: tuple[str, int], flags: int = ACK, payload: bytes = b"") -> bytes:
    ends = [ipaddress.ip_address(one[0]).packed for one in (source, destination)]
    tcp = struct.pack(">HHIIBBHHH", source[1], destination[1], 1, 2, 5 << 4, flags, 1000, 0, 0) + payload
    if len(ends[0]) == 4:
        return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0) + b"".join(ends) + tcp
    return struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + b"".join(ends) + tcp


CLIENT, SERVER = ("10.0.0.1", 40_000), ("10.0.0.2", 443)


def packet(time_ns: int = 0, flags: int = ACK, payload: bytes = b"", *, back: bool = False) -> Packet:
    ends = (SERVER, CLIENT) if back else (CLIENT, SERVER)
    data = ip_packet(*ends, flags, payload)
    parsed = parse(data)
    assert parsed
    return Packet("eth0", time_ns, data, len(data), *parsed)


def connection(comm: str = "curl", pid: int = 7, local: tuple[str, int] = CLIENT, remote: tuple[str, int] = SERVER):
    return common_pb2.Connection(
        uuid=f"{comm}-{pid}",
        process=common_pb2.Process(comm=comm, pid=pid),
        local=common_pb2.Endpoint(ip=local[0], port=local[1]),
        remote=common_pb2.Endpoint(ip=remote[0], port=remote[1]),
    )


def taken(flows: Flows, *seen: Packet) -> list[tuple[Packet, str]]:
    return [given for one in seen for given in flows.packet(one)]


@pytest.mark.parametrize("ends", [(CLIENT, SERVER), (("2001:db8::1", 9), ("::1", 443))])
def test_both_versions_of_ip_are_read(ends: tuple[tuple[str, int], tuple[str, int]]):
    source, destination = (End(ipaddress.ip_address(ip).packed, port) for ip, port in ends)
    assert parse(ip_packet(*ends, SYN)) == (source, destination, True)
    assert parse(ip_packet(*ends, SYN_ACK)) == (source, destination, False)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_none(data: bytes):
    parse(data)
    parse(b"\x45" + data)
    parse(b"\x60" + data)


def test_a_later_fragment_has_no_ports():
    data = bytearray(ip_packet(CLIENT, SERVER))
    data[7] = 1
    assert parse(bytes(data)) is None


def test_a_flow_is_held_until_its_connection_is_known_and_then_named():
    flows = Flows()
    held = [packet(1, SYN), packet(2, SYN_ACK, back=True), packet(3)]
    assert taken(flows, *held) == []
    assert list(flows.known(connection())) == [(one, "curl (pid 7)") for one in held]
    assert list(flows.known(connection())) == []
    assert taken(flows, packet(4)) == [(packet(4), "curl (pid 7)")]
    # Its other end is captured, too.
    assert list(flows.known(connection("nginx", 9, SERVER, CLIENT))) == []
    assert taken(flows, packet(5, back=True)) == [(packet(5, back=True), "curl (pid 7); nginx (pid 9)")]


def test_packets_of_others_are_let_go():
    flows = Flows()
    taken(flows, packet(0, SYN))
    flows.forget(11 * SECOND)
    assert list(flows.known(connection())) == []


def test_what_ends_a_connection_still_belongs_to_it_and_its_ports_may_be_used_again():
    flows = Flows()
    list(flows.known(connection()))
    flows.closed(connection(), 20 * SECOND)
    flows.forget(21 * SECOND)
    assert taken(flows, packet(21 * SECOND)) != []
    assert taken(flows, packet(22 * SECOND, SYN), packet(23 * SECOND)) == []
    assert [comment for _, comment in flows.known(connection("wget", 8))] == ["wget (pid 8)"] * 2
    flows.closed(connection("wget", 8), 30 * SECOND)
    flows.forget(36 * SECOND)
    assert taken(flows, packet(37 * SECOND)) == []


def test_a_new_connection_on_the_same_ports_leaves_out_the_old_ones_packets():
    flows = Flows()
    taken(flows, packet(1, SYN), packet(2), packet(3, SYN), packet(4))
    assert [one.time_ns for one, _ in flows.known(connection())] == [3, 4]


def test_what_is_held_is_bounded_and_what_was_left_out_is_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packets, "_MOST_OF_FLOW", 1000)
    monkeypatch.setattr(packets, "_MOST_HELD", 1500)
    flows = Flows()
    taken(flows, *(packet(number, payload=bytes(400)) for number in range(4)))
    assert flows.given_up == 2
    other = packet()._replace(source=End(b"\1\1\1\1", 1), data=bytes(900))
    taken(flows, other)
    assert flows.given_up == 4
    assert list(flows.known(connection())) == []


def test_a_connection_without_addresses_has_no_packets():
    assert list(Flows().known(common_pb2.Connection(uuid="tls"))) == []


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        kind, size = struct.unpack_from("=II", data, at)
        assert data[at + size - 4 : at + size] == struct.pack("=I", size)
        assert size % 4 == 0
        found.append((kind, data[at + 8 : at + size - 4]))
        at += size
    return found


@given(st.lists(st.tuples(st.sampled_from(["lo", "eth0"]), st.binary(min_size=1, max_size=60), st.text(max_size=20)), max_size=8))
def test_a_written_file_reads_back(written: list[tuple[str, bytes, str]]):
    stream = io.BytesIO()
    writer = PcapngWriter(stream, "fleetcap")
    for number, (interface, data, comment) in enumerate(written):
        writer.packet(interface, 1_700_000_000_000_000_123 + number, data, len(data) + number, comment)
    data = stream.getvalue()
    assert [kind for kind, _ in blocks(data)].count(1) == len({interface for interface, _, _ in written})
    frames = list(read_pcapng("file", io.BytesIO(data)))
    assert [(one.data, one.length, one.time_ns) for one in frames] == [
        (data, len(data) + number, 1_700_000_000_000_000_123 + number) for number, (_, data, _) in enumerate(written)
    ]
    assert writer.packets == len(written)


def test_keys_are_a_block_of_their_own():
    stream = io.BytesIO()
    writer = PcapngWriter(stream, "fleetcap")
    writer.secrets(["CLIENT_RANDOM 00 11\n"])
    writer.secrets([])
    kind, body = blocks(stream.getvalue())[-1]
    assert kind == 10
    assert body == struct.pack("=II", 0x544C534B, 20) + b"CLIENT_RANDOM 00 11\n"


def test_a_file_of_packets_is_its_owners_alone(tmp_path: Path):
    file = tmp_path / "traffic.pcapng"
    file.write_text("old")
    file.chmod(0o644)
    assert create(file).stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == b""
