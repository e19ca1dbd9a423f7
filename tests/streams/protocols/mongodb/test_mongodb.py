"""MongoDB: pymongo's `bson` says what our reader must say; compression, exhaust, legacy operations, hostile documents."""

import json
import zlib
from datetime import UTC, datetime
from struct import pack

import bson
import pytest
from bson import json_util
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_streams.protocols.contract import Limits, Role
from fleetcap_streams.protocols.mongodb import SPEC
from fleetcap_streams.protocols.mongodb.compression import CompressionError, decompress
from fleetcap_streams.protocols.mongodb.json_text import Text, write_members
from tests.streams.protocols.conversations import mongo, op_compressed, op_msg
from tests.streams.protocols.tapping import CLIENT, SERVER, Tap, decoded

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.text(max_size=20),
        st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
        st.builds(bson.ObjectId),
        st.builds(bson.Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
        st.builds(
            bson.Decimal128, st.sampled_from(["1", "-0.5", "1E+100", "NaN", "Infinity", "9999999999999999999999999999999999"])
        ),
        st.builds(bson.Code, st.text(max_size=9), st.none() | st.dictionaries(st.sampled_from("ab"), st.integers(0, 9))),
        st.sampled_from([bson.MinKey(), bson.MaxKey(), bson.Regex("a.b", "i"), bson.Binary(b"\0\1\xff", 7)]),
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6), values, max_size=5))
@settings(max_examples=150, deadline=None)
def test_documents_are_shown_as_pymongo_shows_them(document: dict[str, object]):
    data = bson.encode(document)
    out = Text(1 << 20)
    out.add("{")
    write_members(out, data, (0, len(data)), frozenset())
    relaxed = json_util.dumps(bson.decode(data, json_util.RELAXED_JSON_OPTIONS), json_options=json_util.RELAXED_JSON_OPTIONS)
    assert json.loads(out.done()) == json.loads(relaxed)


def test_a_very_deep_document_stays_small():
    deep = b"\5\0\0\0\0"
    for _ in range(20_000):
        deep = pack("<i", len(deep) + 8) + b"\3a\0" + deep + b"\0"
    message = mongo(2013, 1, 0, b"\0\0\0\0\0" + deep)
    (said,) = decoded(SPEC, [(CLIENT, message)])
    assert "body-cut" in said.notes
    assert len(said.body) < 3000


@pytest.mark.parametrize("compressor", [1, 2, 3])
def test_a_bomb_is_cut_at_the_limit(compressor: int):
    big = b"\x1e\0\0\0" + bytes(50_000_000 // 100)
    packed = {1: b"\xff\xff\xff\x0f\0x" + b"\xfe\1\0" * 50_000, 2: zlib.compress(big), 3: b""}[compressor]
    try:
        assert len(decompress(compressor, packed, 1000)) <= 1000
    except CompressionError:
        assert compressor == 3


def test_compressed_replies_and_errors():
    inner = op_msg(5, 4, (b"ok", 0), (b"errmsg", "no"), (b"code", 26), (b"codeName", "NamespaceNotFound"))
    talk = [(CLIENT, op_msg(4, 0, (b"drop", "c"), (b"$db", "d"))), (SERVER, op_compressed(2, inner, zlib.compress(inner[16:])))]
    asked, told = decoded(SPEC, talk)
    assert asked.attributes["collection"] == "c"
    assert (told.exchange, told.attributes["compressor"], told.attributes["ok"]) == (1, "zlib", 0)
    assert told.attributes["error_code"] == 26
    assert told.attributes["error_name"] == "NamespaceNotFound"


def test_exhaust_replies_are_interim_until_the_last():
    talk = [
        (CLIENT, op_msg(1, 0, (b"hello", 1), (b"$db", "admin"), flags=1 << 16)),
        (SERVER, op_msg(2, 1, (b"ok", 1), flags=2) + op_msg(3, 2, (b"ok", 1), flags=2) + op_msg(4, 3, (b"ok", 1))),
    ]
    roles = [(message.role, message.exchange) for message in decoded(SPEC, talk)]
    assert roles == [(Role.REQUEST, 1), (Role.INTERIM, 1), (Role.INTERIM, 1), (Role.RESPONSE, 1)]


def test_an_unacknowledged_write_belongs_to_no_exchange():
    (said,) = decoded(SPEC, [(CLIENT, op_msg(1, 0, (b"insert", "c"), (b"$db", "d"), flags=2))])
    assert said.role is Role.SINGLE


def test_a_reply_to_nobody_is_no_ones():
    (said,) = decoded(SPEC, [(SERVER, op_msg(1, 77, (b"ok", 1)))])
    assert (said.role, said.exchange) == (Role.RESPONSE, 0)


def test_what_waits_is_bounded():
    tap = Tap(SPEC, Limits(pending=5))
    for number in range(100):
        tap.client(op_msg(number, 0, (b"ping", 1), (b"$db", "a")))
    assert len(tap.parser.snapshot()) < 500
