"""Masking at the source: values and matches become asterisks, however the bytes are cut, and nothing else changes."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_producer.captured import Captured
from fleetcap_producer.masking import Masker, MaskError
from fleetcap_proto.v1 import common_pb2, raw_pb2

CONNECTION = common_pb2.Connection(uuid="one")
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\nX-Cookie: no\r\ncookie:a=1; b=2\r\nAccept: */*\r\n\r\nbody"
)
MASKED = (
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: *************\r\nX-Cookie: no\r\ncookie:********\r\nAccept: */*\r\n\r\nbody"
)


def _events(data: bytes, cuts: list[int], direction: int = 1) -> list[Captured]:
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    return [
        Captured(CONNECTION, raw_pb2.EVENT_KIND_DATA, 1, direction, begin, data[begin:end])
        for begin, end in itertools.pairwise(places)
    ]


def _masked(masker: Masker, events: list[Captured]) -> bytes:
    return b"".join(event.payload for event in masker.mask(events))


@given(st.lists(st.integers(0, 200), max_size=12))
def test_values_of_named_fields_are_masked_however_they_are_cut(cuts: list[int]) -> None:
    masker = Masker(["authorization", "Cookie"])
    assert _masked(masker, _events(REQUEST, cuts)) == MASKED
    assert masker.masked == 21


def test_one_byte_at_a_time_is_masked_too() -> None:
    assert _masked(Masker(["authorization", "cookie"]), _events(REQUEST, list(range(len(REQUEST))))) == MASKED


@given(st.lists(st.integers(0, 200), max_size=6))
def test_a_pattern_is_masked_where_it_lies_in_one_event_and_from_where_it_is_known_otherwise(cuts: list[int]) -> None:
    data = b"card=4111111111111111&x=1"
    found = _masked(Masker(patterns=[r"\b\d{16}\b"]), _events(data, cuts))
    assert len(found) == len(data)
    assert re.sub(rb"[*\d]{16}", b"", found) == b"card=&x=1"
    if not any(5 < cut % 26 < 21 for cut in cuts):
        assert found == b"card=****************&x=1"


def test_directions_and_connections_do_not_mix() -> None:
    masker = Masker(["cookie"])
    first = _events(b"Cookie: abc", [], 1)
    other = _events(b"open text\r\n", [], 0)
    assert _masked(masker, [*first, *other]) == b"Cookie: ***open text\r\n"
    closed = Captured(CONNECTION, raw_pb2.EVENT_KIND_CLOSED, 2)
    assert masker.mask([closed]) == [closed]
    assert _masked(masker, _events(b"open text\r\n", [], 1)) == b"open text\r\n"


def test_a_value_open_before_a_gap_stays_masked_up_to_the_next_line() -> None:
    masker = Masker(["cookie"])
    before = Captured(CONNECTION, raw_pb2.EVENT_KIND_DATA, 1, 1, 0, b"Cookie: abc", 50)
    after = Captured(CONNECTION, raw_pb2.EVENT_KIND_DATA, 1, 1, 60, b"rest\r\nHost: a\r\n")
    assert _masked(masker, [before, after]) == b"Cookie: *******\r\nHost: a\r\n"


def test_what_is_not_masked_is_the_same_object() -> None:
    events = _events(b"nothing of interest", [])
    assert Masker(["cookie"], ["[0-9]{4}"]).mask(events)[0] is events[0]


@pytest.mark.parametrize(
    ("headers", "patterns", "said"),
    [(["a b"], [], "no name"), ([""], [], "no name"), ([], ["("], "no regular expression"), ([], ["a*"], "at least one byte")],
)
def test_a_rule_that_cannot_be_used_is_one_line_with_the_remedy(headers: list[str], patterns: list[str], said: str) -> None:
    with pytest.raises(MaskError, match=said):
        Masker(headers, patterns)
