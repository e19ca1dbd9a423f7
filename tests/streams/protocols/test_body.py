import gzip
import hashlib
import random
import zlib
from dataclasses import replace

import brotli
import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_streams.protocols import body as body_module
from fleetcap_streams.protocols.body import Body, BodyState, Finished
from fleetcap_streams.protocols.contract import Limits

PLAIN = b"".join(b"line %d of a body that compresses\n" % n for n in range(3000))
LIMITS = Limits(body=1000)


def bare_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstd,
}
ENCODED = [
    (("gzip",), gzip.compress(PLAIN)),
    (("gzip",), gzip.compress(PLAIN[:50_000]) + gzip.compress(PLAIN[50_000:])),
    (("deflate",), zlib.compress(PLAIN)),
    (("deflate",), bare_deflate(PLAIN)),
    (("br",), brotli.compress(PLAIN)),
    (("zstd",), zstd(PLAIN)),
    (("zstd",), zstd(PLAIN[:9]) + zstd(PLAIN[9:])),
    (("gzip", "br"), gzip.compress(brotli.compress(PLAIN))),
    (("br", "zstd", "gzip"), brotli.compress(zstd(gzip.compress(PLAIN)))),
]


def finish(body: Body, *, complete: bool = True) -> Finished:
    return body.finish(complete=complete)


def through(data: bytes, codings: tuple[str, ...] = (), limits: Limits = LIMITS, size: int = 1 << 30) -> Finished:
    body = Body(limits, codings)
    for start in range(0, len(data), size):
        body.feed(data[start : start + size])
    return finish(body)


def reloaded(body: Body, limits: Limits = LIMITS) -> Body:
    return Body.restore(limits, msgspec.msgpack.decode(msgspec.msgpack.encode(body.state()), type=BodyState))


@pytest.mark.parametrize("size", [1 << 30, 1000, 7])
@pytest.mark.parametrize(("codings", "encoded"), ENCODED)
def test_every_coding_is_taken_off(codings: tuple[str, ...], encoded: bytes, size: int):
    assert through(encoded, codings, size=size) == Finished(
        PLAIN[:1000], len(PLAIN), hashlib.sha256(PLAIN).digest(), len(encoded), (body_module.TRUNCATED,)
    )


@pytest.mark.parametrize(("codings", "encoded"), [((), PLAIN), *ENCODED])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_a_restore_at_any_place_changes_nothing(codings: tuple[str, ...], encoded: bytes, share: float):
    place = int(len(encoded) * share)
    body = Body(LIMITS, codings)
    body.feed(encoded[:place])
    body = reloaded(body)
    body.feed(encoded[place:])
    assert finish(body) == through(encoded, codings)


@pytest.mark.parametrize(("codings", "encoded"), ENCODED[:6])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_body_is_decoded_as_far_as_it_goes_and_says_so(codings: tuple[str, ...], encoded: bytes, share: float):
    body = Body(LIMITS, codings)
    body.feed(encoded[: int(len(encoded) * share)])
    done = finish(body, complete=False)
    assert body_module.DECODE_CUT in done.notes
    assert PLAIN.startswith(done.body)
    assert done.body_sha256 == b""


def test_a_whole_body_of_which_nothing_can_be_decoded_is_shown_as_sent():
    encoded = zstd(PLAIN)[:-10]  # one block, and its end is not there
    assert through(encoded, ("zstd",)) == Finished(
        encoded[:1000],
        len(encoded),
        hashlib.sha256(encoded).digest(),
        len(encoded),
        (body_module.CODING_WRONG, body_module.TRUNCATED),
    )


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_a_broken_body_gives_the_same_however_it_was_cut(name: str):
    rng = random.Random(7)
    plain = rng.randbytes(30_000) + PLAIN
    encoded = bytearray(CODINGS[name](plain))
    encoded[20_000:20_040] = bytes(40)
    whole = through(bytes(encoded), (name,))
    assert whole == through(bytes(encoded), (name,), size=1) == through(bytes(encoded), (name,), size=999)
    assert whole.body == plain[:1000]
    assert whole.encoded_size == len(encoded)


def test_what_is_decoded_before_the_break_is_kept():
    plain = random.Random(1).randbytes(40_000).hex().encode()
    encoded = bytearray(gzip.compress(plain))
    encoded[30_000:] = random.Random(2).randbytes(200_000)
    done = through(bytes(encoded), ("gzip",), Limits())
    assert done.notes == (body_module.DECODE_ERROR,)
    assert done.body_size > 25_000
    assert done.body[:25_000] == plain[:25_000]  # some of the noise behind it looks like more
    assert done.body_sha256 == b""


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("size", [1 << 30, 1])
def test_a_body_that_is_not_coded_at_all_is_shown_as_sent(name: str, size: int):
    text = b"<html>not compressed, whatever the head says</html>"
    done = through(text, (name,), size=size)
    assert done.notes[0] in (body_module.CODING_WRONG, body_module.DECODE_ERROR)
    if done.notes[0] == body_module.CODING_WRONG:
        assert done == Finished(text, len(text), hashlib.sha256(text).digest(), len(text), (body_module.CODING_WRONG,))


def test_an_empty_coded_body_is_just_empty():
    assert through(b"", ("gzip",)) == Finished(b"", 0, hashlib.sha256(b"").digest(), 0, ())


@pytest.mark.parametrize(
    ("codings", "bomb"),
    [
        (("gzip",), gzip.compress(bytes(40_000_000))),
        (("zstd",), zstd(bytes(40_000_000))),
        (("br",), brotli.compress(bytes(40_000_000))),
        (("gzip", "gzip"), gzip.compress(gzip.compress(bytes(40_000_000)))),
    ],
)
@pytest.mark.parametrize("size", [1 << 30, 5])
def test_a_bomb_stops_at_the_limit_exactly(codings: tuple[str, ...], bomb: bytes, size: int):
    limits = replace(LIMITS, decompressed=3_000_001)
    done = through(bomb, codings, limits, size=size)
    assert done == Finished(bytes(1000), 3_000_001, b"", len(bomb), (body_module.OVER_LIMIT, body_module.TRUNCATED))


def test_a_bomb_between_two_codings_stops_too():
    """A stream of empty deflate blocks is long and decodes to nothing, so only its own length can stop it."""
    empty_blocks = zlib.compressobj(wbits=31).flush(zlib.Z_SYNC_FLUSH) + b"\x00\x00\x00\xff\xff" * 2_000_000
    bomb = gzip.compress(empty_blocks)
    done = through(bomb, ("gzip", "gzip"), replace(LIMITS, decompressed=1_000_000))
    assert done.notes == (body_module.OVER_LIMIT,)


def test_beyond_what_can_be_rebuilt_a_restore_says_that_the_decoder_is_lost():
    plain = random.Random(3).randbytes(2 * body_module.REBUILD)
    encoded = gzip.compress(plain)
    body = Body(LIMITS, ("gzip",))
    body.feed(encoded[: body_module.REBUILD + 70_000])
    assert len(msgspec.msgpack.encode(body.state())) < 2000
    body = reloaded(body)
    body.feed(encoded[body_module.REBUILD + 70_000 :])
    done = finish(body)
    assert done.notes == (body_module.DECODER_LOST, body_module.TRUNCATED)
    assert body.decoder_lost
    assert body_module.REBUILD < done.body_size < len(plain)
    assert done.encoded_size == len(encoded)
    assert done.body_sha256 == b""


@pytest.mark.parametrize("codings", [(), ("gzip",)])
def test_a_gap_is_counted_and_leaves_no_hash(codings: tuple[str, ...]):
    data = gzip.compress(PLAIN) if codings else PLAIN
    body = Body(LIMITS, codings)
    body.feed(data[:100])
    body.gap(50)
    body.feed(data[150:])
    done = finish(body, complete=False)
    assert body.missing == 50
    assert done.encoded_size == len(data) - 50
    assert done.body_sha256 == b""
    assert (body_module.DECODE_CUT in done.notes) == bool(codings)


@given(data=st.binary(max_size=600), codings=st.lists(st.sampled_from(sorted(CODINGS)), max_size=2), size=st.integers(1, 50))
def test_arbitrary_bytes_never_raise_and_do_not_depend_on_cuts(data: bytes, codings: list[str], size: int):
    limits = Limits(body=50, decompressed=10_000)
    whole = through(data, tuple(codings), limits)
    assert whole == through(data, tuple(codings), limits, size=size)
    assert whole.encoded_size == len(data)
