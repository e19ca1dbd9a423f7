"""Reads a BPF ring buffer through shared memory, many records at a time and without a callback for each.

Owns the ring's layout (linux/bpf.h, kernel/bpf/ringbuf.c): a page with the consumer's position, which is ours to write, then
a page with the producer's, then the data, mapped twice so that a record is never split. It must not know what records mean.
"""

import mmap
import select
import threading
from collections.abc import Sequence

_BUSY = 1 << 31
_DISCARDED = 1 << 30
_HEADER = 8

# What one `ready` hands out at most: bounds the time and memory of a drain, large enough to pay for its fixed cost.
_MOST_BYTES = 8 << 20
_MOST_RECORDS = 8192


class Ring:
    """The reader of a ring whose data are `size` bytes, a power of two.

    `ours` begins with the consumer's position; `theirs` is the producer's page and the data, twice, behind it.
    """

    def __init__(self, ours: memoryview, theirs: memoryview, size: int, page: int = mmap.PAGESIZE) -> None:
        self._mask = size - 1
        self._consumed = ours[:8].cast("Q")
        self._produced = theirs[:8].cast("Q")
        self.data = theirs[page:]
        self._words = self.data.cast("I")
        self._next = self._consumed[0]
        self._barrier = threading.Lock()

    def _order(self) -> None:
        """Keeps reads before and after apart on processors that would move them; a lock's two halves do that anywhere."""
        self._barrier.acquire()
        self._barrier.release()

    def ready(self) -> Sequence[int]:
        """Where in `data` the records begin that wait, in the order in which they were reserved.

        They stay valid until `release`. A record still being written holds back those behind it.
        """
        words, mask = self._words, self._mask
        at = self._consumed[0]
        end = min(self._produced[0], at + _MOST_BYTES)
        self._order()
        found: list[int] = []
        while at < end and len(found) < _MOST_RECORDS:
            start = at & mask
            length = words[start >> 2]
            if length & _BUSY:
                break
            if not length & _DISCARDED:
                found.append(start + _HEADER)
            at += ((length & (_DISCARDED - 1)) + _HEADER + 7) & ~7
        self._order()
        self._next = at
        return found

    def release(self) -> None:
        """Gives the room of the records that `ready` handed out back to the kernel."""
        self._order()
        self._consumed[0] = self._next

    def waiting(self) -> int:
        """Bytes not yet released."""
        return self._produced[0] - self._consumed[0]

    def close(self) -> None:
        """Lets go of the memory. No record may be read afterwards."""
        for view in (self._words, self.data, self._produced, self._consumed):
            view.release()


class MappedRing(Ring):
    """The ring buffer of `size` bytes behind the map descriptor `fd`.

    Raises:
        OSError: the descriptor is no ring buffer of this size, or may not be mapped.
    """

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._maps = (
            mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0),
            mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page),
        )
        self._views = memoryview(self._maps[0]), memoryview(self._maps[1])
        super().__init__(self._views[0], self._views[1], size)
        self._poll = select.epoll()
        # Edge-triggered: a program wakes us by amount; that something waits is no reason to come early.
        self._poll.register(fd, select.EPOLLIN | select.EPOLLET)

    def wait(self, timeout_s: float) -> None:
        """Sleeps until a program wakes the reader, or for `timeout_s` seconds."""
        self._poll.poll(timeout_s)

    def close(self) -> None:
        """Unmaps."""
        self._poll.close()
        super().close()
        for view, mapped in zip(self._views, self._maps, strict=True):
            view.release()
            mapped.close()
