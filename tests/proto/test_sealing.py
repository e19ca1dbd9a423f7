"""Encrypted records: only holders of the key read them, nothing is changed unseen, no nonce comes twice."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_proto.sealing import Key, Keys, SealedError, Sealer, is_sealed, opened
from fleetcap_proto.v1 import raw_pb2

KEY = Key("2026-11", bytes(range(32)))
KEYS: Keys = {KEY.id: KEY.secret}.get
NO_KEYS: dict[str, bytes] = {}


@given(st.binary(max_size=100), st.binary(max_size=2000), st.integers(0, 2**32 - 1))
def test_what_was_sealed_opens_to_the_same(key: bytes, value: bytes, events: int) -> None:
    sealed = Sealer(KEY).seal(key, value, events)
    assert is_sealed(sealed)
    assert raw_pb2.RawBatch.FromString(sealed).event_count == events
    assert opened(key, sealed, KEYS) == value


def test_a_plain_record_does_not_look_sealed() -> None:
    plain = raw_pb2.RawBatch(node_id="node", event_count=3, connection={"uuid": "one"}).SerializeToString()
    assert not is_sealed(plain)
    assert not is_sealed(b"")


@given(st.data())
def test_a_changed_record_does_not_open_or_says_the_same(data: st.DataObject) -> None:
    value = b"secret payload" * 3
    sealed = bytearray(Sealer(KEY).seal(b"one", value, 3))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(SealedError):
        assert opened(b"one", bytes(sealed), KEYS) == value  # only what stands outside was changed


def test_a_record_under_another_kafka_key_does_not_open() -> None:
    with pytest.raises(SealedError, match="2026-11"):
        opened(b"two", Sealer(KEY).seal(b"one", b"value", 1), KEYS)


def test_a_missing_or_a_wrong_key_is_named_with_the_remedy() -> None:
    sealed = Sealer(KEY).seal(b"one", b"value", 1)
    with pytest.raises(SealedError, match=r"'2026-11', which is not known here; add"):
        opened(b"one", sealed, NO_KEYS.get)
    with pytest.raises(SealedError, match="compare the keys"):
        opened(b"one", sealed, {KEY.id: bytes(32)}.get)


def test_no_two_records_of_any_producer_share_key_and_nonce() -> None:
    seen = set()
    for _ in range(3):
        sealer = Sealer(KEY)
        for _ in range(5):
            one = raw_pb2.RawBatch.FromString(sealer.seal(b"k", b"same", 1)).sealed
            assert b"same" not in one.ciphertext
            seen.add((one.salt, one.number))
    assert len(seen) == 15
