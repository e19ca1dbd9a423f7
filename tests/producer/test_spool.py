"""The spool on disk: order, bounds, what survives an end in mid-write, damage anywhere, and who may get at it."""

import errno
import os
import stat
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_producer.losses import KeyLoss
from fleetcap_producer.packing import Packed
from fleetcap_producer.segments import HEAD_BYTES, encoded_size
from fleetcap_producer.spool import DAMAGED, FAILED, FULL, Spool, SpoolOptions
from fleetcap_producer.spool_folder import SpoolError

SMALL = SpoolOptions(most_bytes=4096, segment_bytes=512)


def _record(number: int, size: int = 40, events: int = 2) -> Packed:
    return Packed(f"c{number % 3}".encode(), f"{number:08}".encode().ljust(size, b"."), events)


def _rest(spool: Spool) -> list[int]:
    found = []
    while one := spool.read():
        found.append(int(one.packed.value[:8]))
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def test_records_come_out_as_they_went_in_over_many_segments(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", SMALL)
    records = [_record(n) for n in range(40)]
    for one in records:
        assert spool.append(one)
    assert len(_files(tmp_path / "spool")) > 3
    assert [spool.read() for _ in records][-1] is not None
    assert spool.read() is None
    assert not spool.unread
    assert spool.lost.events() == {}


def test_what_is_done_is_deleted_and_what_is_not_outlives_the_process(tmp_path: Path) -> None:
    first = Spool(tmp_path / "spool", SMALL)
    places = [first.append(_record(n)) for n in range(40)]
    assert places[24] is not None
    first.done(places[24])
    first.close()
    again = Spool(tmp_path / "spool", SMALL)
    assert _rest(again) == list(range(25, 40))
    again.append(_record(40))
    assert _rest(again) == [40]
    again.done(again.end)
    assert _files(tmp_path / "spool") == []
    assert again.size == 0
    again.append(_record(41))
    again.close()
    last = Spool(tmp_path / "spool", SMALL)
    assert _rest(last) == [41]
    assert last.lost.events() == {}


def test_a_full_spool_drops_the_newest_and_counts_them_by_cause_and_key(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", SMALL)
    kept = [n for n in range(100) if spool.append(_record(n))]
    assert kept == list(range(len(kept)))
    assert 10 < len(kept) < 100
    assert spool.size <= SMALL.most_bytes
    assert spool.lost.events() == {FULL: 2 * (100 - len(kept))}
    lost = spool.lost.by_key()
    assert sum(one.events for one in lost.values()) == 2 * (100 - len(kept))
    gone = [n for n in range(len(kept), 100) if n % 3 == 0]
    assert lost[b"c0"] == KeyLoss(2 * len(gone), 40 * len(gone))
    assert _rest(spool) == kept


def test_a_full_spool_drops_the_oldest_where_asked_to(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", SpoolOptions(4096, 512, drop="oldest"))
    for n in range(100):
        assert spool.append(_record(n))
    found = _rest(spool)
    assert found == list(range(found[0], 100))
    assert spool.lost.events() == {FULL: 2 * found[0]}
    assert spool.size <= 4096


def test_dropping_the_oldest_does_not_count_what_was_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", SpoolOptions(4096, 512, drop="oldest"))
    for n in range(200):
        spool.append(_record(n))
        spool.read()
    assert spool.lost.events() == {}
    assert not spool.unread


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_record_cut_off_by_the_end_of_the_process_costs_itself_alone(tmp_path: Path, cut: int) -> None:
    spool = Spool(tmp_path / "spool", SMALL)
    for n in range(5):
        spool.append(_record(n))
    spool.close()
    (file,) = _files(tmp_path / "spool")
    assert encoded_size(_record(0)) > 60
    os.truncate(file, file.stat().st_size - cut)
    again = Spool(tmp_path / "spool", SMALL)
    again.append(_record(9))
    assert _rest(again) == [0, 1, 2, 3, 9]
    assert 1 <= again.lost.events()[DAMAGED] <= 2


@given(st.data())
def test_damage_anywhere_costs_no_more_than_its_segment_and_is_counted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damage") / "spool"
    spool = Spool(folder, SMALL)
    for n in range(40):
        spool.append(_record(n))
    spool.close()
    files = _files(folder)
    which = data.draw(st.integers(0, len(files) - 2))  # behind the last one, nothing tells how much was lost
    raw = bytearray(files[which].read_bytes())
    at = data.draw(st.integers(HEAD_BYTES, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    files[which].write_bytes(raw)
    again = Spool(folder, SMALL)
    found = _rest(again)
    again.close()
    assert found == sorted(set(found))
    assert 40 - len(found) <= len(raw) // encoded_size(_record(0))
    assert again.lost.events() == {DAMAGED: 2 * (40 - len(found))}


@given(st.lists(st.sampled_from(["append", "read", "done", "restart"]), max_size=120))
def test_it_behaves_as_a_queue_whatever_is_done_in_whatever_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("model") / "spool"
    spool = Spool(folder, SpoolOptions(most_bytes=1 << 20, segment_bytes=300))
    waiting: deque[int] = deque()
    read: deque[int] = deque()
    last = None
    for number, step in enumerate(steps):
        if step == "append":
            spool.append(_record(number))
            waiting.append(number)
        elif step == "read":
            one = spool.read()
            assert (one is not None) == bool(waiting)
            if one:
                assert int(one.packed.value[:8]) == waiting[0]
                read.append(waiting.popleft())
                last = one.end
        elif step == "done" and last:
            spool.done(last)
            read.clear()
        elif step == "restart":
            spool.close()
            spool = Spool(folder, SpoolOptions(most_bytes=1 << 20, segment_bytes=300))
            waiting, read, last = read + waiting, deque(), None
    assert _rest(spool) == list(waiting)
    assert spool.lost.events() == {}
    spool.close()


def test_a_damaged_cursor_costs_duplicates_and_nothing_else(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", SMALL)
    places = [spool.append(_record(n)) for n in range(4)]
    assert places[1]
    spool.done(places[1])
    spool.close()
    (tmp_path / "spool" / "cursor").write_bytes(b"\x00" * 28)
    assert _rest(Spool(tmp_path / "spool", SMALL)) == [0, 1, 2, 3]


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        spool = Spool(tmp_path / "spool")
        spool.append(_record(1))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    for file in (tmp_path / "spool").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_folder_that_is_open_to_others_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(mode)
    with pytest.raises(SpoolError, match="chmod 700"):
        Spool(tmp_path / "spool")


def test_a_link_in_place_of_the_folder_or_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "spool").symlink_to(tmp_path / "real")
    with pytest.raises(SpoolError):
        Spool(tmp_path / "spool")
    (tmp_path / "target").write_bytes(b"keep")
    (tmp_path / "real" / "cursor").symlink_to(tmp_path / "target")
    with pytest.raises(SpoolError):
        Spool(tmp_path / "real")
    assert (tmp_path / "target").read_bytes() == b"keep"


def test_two_producers_cannot_share_one(tmp_path: Path) -> None:
    first = Spool(tmp_path / "spool")
    with pytest.raises(SpoolError, match="another producer"):
        Spool(tmp_path / "spool")
    first.close()
    Spool(tmp_path / "spool").close()


def test_a_disk_that_is_full_costs_the_record_and_not_the_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool", SMALL)
    spool.append(_record(1))
    real, whole = os.pwrite, encoded_size(_record(2))

    def full(fd: int, raw: bytes, offset: int) -> int:
        if len(raw) == whole:
            return real(fd, raw[:20], offset)
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "pwrite", full)
    assert spool.append(_record(2)) is None
    monkeypatch.undo()
    assert spool.append(_record(3))
    assert spool.lost.events() == {FAILED: 2}
    assert _rest(spool) == [1, 3]
