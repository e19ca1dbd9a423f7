"""DNS over TCP: messages made by an independent library, seen in every way in which a tap may see them."""

from random import Random

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_streams.protocols.contract import Direction, Gap, Message, Opening, Role, Score
from fleetcap_streams.protocols.dns import SPEC
from fleetcap_streams.protocols.dns.wire import probe
from fleetcap_streams.protocols.registry import default_registry
from tests.streams.protocols.tapping import CLIENT, SERVER, Tap, beheaded, chopped, decoded, facts, holed

NAMES = ["example.com.", "www.example.com.", "a.b.c.example.org.", "x" * 63 + ".example.net.", "_https._tcp.example.com."]
RECORDS = {
    "A": ["192.0.2.1", "192.0.2.2"],
    "AAAA": ["2001:db8::1"],
    "MX": ["10 mail.example.com."],
    "TXT": ['"v=spf1 -all" "more"'],
    "SRV": ["0 5 443 svc.example.com."],
    "SOA": ["ns.example.com. admin.example.com. 1 7200 3600 1209600 300"],
    "CAA": ['0 issue "ca.example"'],
    "HTTPS": ["1 . alpn=h2,h3"],
    "TYPE65280": ["\\# 4 c0000201"],
}


def framed(message: dns.message.Message) -> bytes:
    wire = message.to_wire(want_shuffle=False)
    return len(wire).to_bytes(2) + wire


def query(number: int, name: str, kind: str) -> dns.message.QueryMessage:
    return dns.message.make_query(name, kind, id=number, use_edns=number % 2)


def answer(asked: dns.message.Message, kind: str, *, rcode: int = 0) -> dns.message.Message:
    response = dns.message.make_response(asked)
    response.set_rcode(dns.rcode.Rcode(rcode))
    if not rcode:
        response.answer.append(dns.rrset.from_text(asked.question[0].name, 300, "IN", kind, *RECORDS[kind]))
    return response


def talk() -> list[tuple[Direction, bytes]]:
    """Some one after the other, then three that are answered the other way round."""
    said: list[tuple[Direction, bytes]] = []
    for number, kind in enumerate(RECORDS):
        asked = query(1000 + number, NAMES[number % len(NAMES)], kind)
        said += [(CLIENT, framed(asked)), (SERVER, framed(answer(asked, kind)))]
    asked = query(7, "missing.example.com.", "A")
    said += [(CLIENT, framed(asked)), (SERVER, framed(answer(asked, "A", rcode=3)))]
    several = [query(20 + number, name, "A") for number, name in enumerate(NAMES[:3])]
    said.append((CLIENT, b"".join(framed(each) for each in several)))
    said += [(SERVER, framed(answer(each, "A"))) for each in reversed(several)]
    return said


TALK = talk()


def paired(messages: list[Message]) -> dict[bytes, bytes]:
    asked = {message.exchange: message for message in messages if message.role is Role.REQUEST and message.complete}
    answers = [message for message in messages if message.role is Role.RESPONSE and message.complete]
    return {asked[each.exchange].body: each.body for each in answers if each.exchange in asked}


def test_queries_and_their_answers():
    messages = decoded(SPEC, TALK)
    assert all(message.complete and not message.notes for message in messages)
    assert [message.exchange for message in messages if message.role is Role.RESPONSE] == [*range(1, 11), 13, 12, 11]
    assert len(paired(messages)) == len(RECORDS) + 3  # one question is asked twice
    for kind, message in zip(RECORDS, messages[1::2], strict=False):
        assert (message.attributes["type"], message.attributes["rcode"]) == (kind, "NOERROR")
        assert message.attributes["rows"] == len(RECORDS[kind])
    missing = next(message for message in messages if message.attributes.get("rcode") == "NXDOMAIN")
    assert missing.attributes["error_code"] == 3
    last = messages[-1]
    assert (last.attributes["name"], last.attributes["id"]) == ("example.com", 20)
    assert last.body == b"example.com. 300 IN A 192.0.2.1\nexample.com. 300 IN A 192.0.2.2"


@pytest.mark.parametrize("seed", range(6))
def test_cutting_and_moving_change_nothing(seed: int):
    tap = Tap(SPEC)
    for way, chunk in chopped(TALK, Random(seed), (1, 9, 200)[seed % 3]):
        tap.see(way, chunk, 0)
        tap.move()
    tap.close()
    assert facts(tap.messages) == facts(decoded(SPEC, TALK))


def test_a_lost_event_costs_its_own_exchange_only():
    truth = paired(decoded(SPEC, TALK))
    for place in range(len(TALK) - 5):
        found = paired(Tap(SPEC).hear(holed(TALK, place), close=True))
        assert found.items() <= truth.items()
        assert len(found) >= len(truth) - 1


def test_joined_at_any_byte():
    truth = paired(decoded(SPEC, TALK))
    for size in range(1, sum(len(data) for _, data in TALK[:-6]), 3):
        found = paired(Tap(SPEC).hear(beheaded(TALK, size), close=True))
        assert found.items() <= truth.items(), size
        assert len(found) >= 3, size  # those behind the cut


def test_an_id_used_again_after_a_loss_is_not_paired_for_certain():
    first, second = query(5, "example.com.", "A"), query(5, "example.com.", "A")
    tap = Tap(SPEC)
    tap.client(framed(first))
    tap.see(SERVER, Gap(60))
    tap.see(CLIENT, Gap(len(framed(second))))
    tap.server(framed(answer(second, "A")))
    assert not paired(tap.messages)


def test_a_frame_that_is_no_message_says_so():
    broken = bytearray(framed(answer(query(2, "example.com.", "A"), "A")))
    broken[broken.rindex(bytes((0, 4, 192, 0, 2, 2))) + 1] = 200  # the length of an address
    tap = Tap(SPEC)
    tap.client(framed(query(2, "example.com.", "A")))
    tap.server(bytes(broken))
    message = tap.messages[-1]
    assert (message.complete, message.notes, message.exchange) == (False, ("unreadable",), 1)


def test_pointers_that_lead_nowhere_end():
    header = (7).to_bytes(2) + b"\x81\x80" + bytes((0, 1, 0, 1, 0, 0, 0, 0))
    loop = header + b"\x01a\x00\x00\x01\x00\x01" + b"\xc0\x13" + b"\x00\x01\x00\x01" + bytes(4) + b"\x00\x02\xc0\x13"
    tap = Tap(SPEC)
    tap.client(framed(query(7, "a.", "A")))
    tap.server(len(loop).to_bytes(2) + loop)
    assert tap.messages[-1].notes == ("unreadable",)


def test_the_probe_knows_its_own_and_nobody_else_does():
    asked, answered = TALK[0][1], TALK[1][1]
    opening = Opening(answered, asked, joined=False, client=None)
    assert probe(opening) is Score.YES
    assert probe(Opening(b"", asked[:9], joined=False, client=None)) is Score.MORE
    assert probe(Opening(asked, asked, joined=False, client=None)) is Score.NO
    others = [spec for spec in default_registry() if spec.name != "dns"]
    assert not [spec.name for spec in others if spec.probe(opening) >= Score.MAYBE]


@given(st.lists(st.tuples(st.sampled_from(Direction), st.one_of(st.binary(max_size=60), st.integers(0, 99)))), st.data())
def test_nothing_makes_it_raise(steps: list[tuple[Direction, bytes | int]], data: st.DataObject):
    tap = Tap(SPEC)
    tap.client(TALK[0][1])
    for way, step in steps:
        tap.see(way, step if isinstance(step, bytes) else Gap(step))
    changed = bytearray(TALK[1][1])
    changed[data.draw(st.integers(2, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    tap.server(bytes(changed))
    tap.move()
    tap.close()
