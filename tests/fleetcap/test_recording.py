"""Recording files: what was written comes back, and a file that is cut or damaged says where."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap import recording
from fleetcap.recording import (
    MAGIC,
    DamagedError,
    NotARecordingError,
    Recorded,
    RecordingError,
    RecordingSink,
    RecordingWriter,
    RecordTooLargeError,
    TruncatedError,
    read_recording,
)
from fleetcap_producer.packing import Packed
from fleetcap_proto.v1 import recording_pb2
from fleetcap_streams.engine.values import Record

U64 = 2**64 - 1
RECORDS = st.builds(
    Recorded,
    partition=st.integers(0, 2**32 - 1),
    record=st.builds(
        Record,
        offset=st.integers(0, U64),
        key=st.none() | st.binary(max_size=40),
        value=st.none() | st.binary(max_size=600),
        log_time_ms=st.integers(0, U64),
    ),
)


def _write(path: Path, records: list[Recorded]) -> list[int]:
    """Write them and return where each of them begins, and the end."""
    places = []
    with RecordingWriter(path) as writer:
        for partition, record in records:
            places.append(writer.bytes)
            writer.write(partition, record)
        places.append(writer.bytes)
        assert writer.records == len(records)
    assert path.stat().st_size == places[-1]
    return places


def _some(count: int) -> list[Recorded]:
    return [Recorded(n % 3, Record(n, b"k%d" % n, b"v" * (n * 37), 1_700_000_000_000 + n)) for n in range(count)]


@given(records=st.lists(RECORDS, max_size=12))
def test_what_was_written_comes_back(tmp_path_factory: pytest.TempPathFactory, records: list[Recorded]) -> None:
    path = tmp_path_factory.mktemp("recording") / "file"
    _write(path, records)
    assert list(read_recording(path)) == records


def test_the_format_is_the_schemas(tmp_path: Path) -> None:
    _write(tmp_path / "file", [Recorded(3, Record(7, b"key", b"x" * 200, 12))])
    data = (tmp_path / "file").read_bytes()
    body = recording_pb2.RecordedRecord(partition=3, offset=7, key=b"key", value=b"x" * 200, log_time_ms=12).SerializeToString()
    assert data == b"FLEETCAP" + bytes((len(body) & 0x7F | 0x80, len(body) >> 7)) + body


def test_absent_and_empty_are_not_the_same(tmp_path: Path) -> None:
    records = [Recorded(0, Record(0, None, None, 0)), Recorded(0, Record(1, b"", b"", 0))]
    _write(tmp_path / "file", records)
    assert list(read_recording(tmp_path / "file")) == records


def test_cut_at_every_byte_it_gives_all_before_and_names_the_place(tmp_path: Path) -> None:
    records = _some(9)
    places = _write(tmp_path / "whole", records)
    data = (tmp_path / "whole").read_bytes()
    cut = tmp_path / "cut"
    for size in range(len(MAGIC), len(data)):
        cut.write_bytes(data[:size])
        before = [n for n in range(len(records)) if places[n + 1] <= size]
        found: list[Recorded] = []
        if size in places:
            found.extend(read_recording(cut))
        else:
            with pytest.raises(TruncatedError) as caught:
                found.extend(read_recording(cut))
            assert caught.value.offset == places[len(before)]
            assert f"byte {places[len(before)]}" in str(caught.value)
            assert str(cut) in str(caught.value)
        assert found == [records[n] for n in before]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_how_much_is_read_at_once_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    records = _some(20)
    _write(tmp_path / "file", records)
    monkeypatch.setattr(recording, "_CHUNK", chunk)
    assert list(read_recording(tmp_path / "file")) == records


@pytest.mark.parametrize("data", [b"", b"F", b"FLEETCA", b"fleetcap", b"\x00" * 64, b"PK\x03\x04 and so on"])
def test_another_file_is_not_a_recording(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(NotARecordingError, match="not a recording"):
        list(read_recording(tmp_path / "file"))


def test_a_length_over_the_limit_is_not_even_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(MAGIC + b"\x02\x08\x01" + b"\xff\xff\xff\xff\x0f" + b"x" * 100)
    reader = read_recording(tmp_path / "file")
    assert next(reader).partition == 1
    with pytest.raises(RecordTooLargeError) as caught:
        next(reader)
    assert (caught.value.offset, caught.value.size) == (11, 2**32 - 1)


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"\xff\xff\xff\xff\xff\xff", "no length"), (b"\x03\xff\xff\xff", "no record"), (b"\x02\x0f\x01", "no record")],
)
def test_nonsense_is_told_with_its_place(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "file").write_bytes(MAGIC + data)
    with pytest.raises(DamagedError, match=f"byte 8: {why}"):
        list(read_recording(tmp_path / "file"))


@given(data=st.binary(max_size=300))
def test_any_bytes_read_or_raise_our_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("recording") / "file"
    path.write_bytes(MAGIC + data)
    try:
        list(read_recording(path))
    except RecordingError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right


def test_a_record_over_the_limit_is_refused_and_the_file_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_RECORD_BYTES", 100)
    first = Recorded(0, Record(0, b"k", b"small", 1))
    with RecordingWriter(tmp_path / "file") as writer:
        writer.write(*first)
        with pytest.raises(RecordTooLargeError, match="the limit is 100"):
            writer.write(0, Record(1, b"k", b"x" * 101, 1))
    assert list(read_recording(tmp_path / "file")) == [first]


def test_what_was_flushed_is_there_without_a_close(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "file")
    (record,) = _some(1)
    writer.write(*record)
    writer.flush()
    assert list(read_recording(tmp_path / "file")) == [record]
    writer.close()
    writer.close()


def test_an_existing_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(RecordingError, match="exists already"):
        RecordingWriter(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["no/such/folder/file", "."])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError, match=f"cannot open {tmp_path / name}"):
        list(read_recording(tmp_path / name))


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("wb")  # noqa: SIM115 - the writer's to close
    monkeypatch.setattr(recording, "_open", lambda _path, _mode: full)
    with pytest.raises(RecordingError, match=r"cannot write .*/file: No space left"):
        RecordingWriter(tmp_path / "file")


def test_an_empty_recording_may_be_written_again(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "file").close()
    records = _some(2)
    _write(tmp_path / "file", records)
    assert list(read_recording(tmp_path / "file")) == records


def test_a_sink_keeps_order_and_its_log_time_never_goes_back(tmp_path: Path) -> None:
    times = iter([1000.0, 1000.5, 999.0, 1001.0])
    sink = RecordingSink(RecordingWriter(tmp_path / "file"), clock=lambda: next(times))
    for n in range(4):
        sink.send(Packed(b"key", b"value%d" % n, 1), wait_s=0.0)
    sink.poll()
    sink.close(timeout_s=0.0)
    log_times = [1_000_000, 1_000_500, 1_000_500, 1_001_000]
    expected = [Recorded(0, Record(n, b"key", b"value%d" % n, time)) for n, time in enumerate(log_times)]
    assert list(read_recording(tmp_path / "file")) == expected
    assert sink.losses() == {}
