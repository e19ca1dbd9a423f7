"""Opens what is to be read: a file or standard input, compressed with gzip or not, and says how far reading has come.

The only module here that touches files. It must not know formats beyond gzip's own.
"""

import gzip
import io
import sys
import zlib
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, cast

from fleetcap.inputs.errors import DamagedInputError, InputError

STDIN: Final = "-"
_GZIP: Final = b"\x1f\x8b"  # RFC 1952 section 2.3.1
_BUFFER = 256 * 1024


class _Ahead(io.RawIOBase):
    """A binary stream whose first bytes can be looked at; counts what was read of it."""

    def __init__(self, name: str, inner: io.BufferedIOBase) -> None:
        self._name = name
        self._inner = inner
        self._held = b""
        self.count = 0

    def head(self, size: int) -> bytes:
        """The first bytes, fewer where it is shorter. A pipe may give them one by one."""
        while len(self._held) < size and (more := self._inner.read1(size - len(self._held))):
            self._held += more
        return self._held

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the buffer protocol has no simpler name in 3.11
        """As the standard library asks."""
        size = len(buffer)
        data = self._held[:size] if self._held else self._read(size)
        self._held = self._held[size:]
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)

    def _read(self, size: int) -> bytes:
        try:
            # One read at a time: what came before damage is not lost with it.
            return self._inner.read1(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedInputError(f"{self._name}: its gzip data is cut or damaged; what stands before was read") from error
        except OSError as error:
            raise _cannot(self._name, "read", error) from error


class Source:
    """One input, open; a context manager. `stream` gives its bytes, decompressed; `head` shows the first of them."""

    def __init__(self, path: str) -> None:
        """Open it; `-` is standard input.

        Raises:
            InputError: it cannot be opened.
        """
        self.path = path
        self.name = "standard input" if path == STDIN else path
        self._file = cast("io.BufferedIOBase", sys.stdin.buffer) if path == STDIN else _open(Path(path))
        self._raw = _Ahead(self.name, self._file)
        self._top = self._raw
        if self._raw.head(len(_GZIP)) == _GZIP:
            unpacked = gzip.GzipFile(fileobj=io.BufferedReader(self._raw, _BUFFER))
            self._top = _Ahead(self.name, unpacked)
        self.head = self._top_head(64)
        self.stream: IO[bytes] = io.BufferedReader(self._top, _BUFFER)

    def _top_head(self, size: int) -> bytes:
        try:
            return self._top.head(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedInputError(
                f"{self.name}: its gzip data is cut or damaged at the beginning; give another copy"
            ) from error
        except OSError as error:
            raise _cannot(self.name, "read", error) from error

    @property
    def size(self) -> int:
        """Bytes in the file as it is stored, 0 where nobody knows."""
        return 0 if self.path == STDIN or not Path(self.path).is_file() else Path(self.path).stat().st_size

    @property
    def position(self) -> int:
        """How many of those have been read."""
        return self._raw.count

    @property
    def node(self) -> str:
        """What stands for the captured machine where the input names none: the file's own name."""
        return "stdin" if self.path == STDIN else Path(self.path).name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.path != STDIN:
            self._file.close()


def _open(path: Path) -> io.BufferedIOBase:
    try:
        return path.open("rb")
    except OSError as error:
        raise _cannot(str(path), "open", error) from error


def _cannot(name: str, what: str, error: OSError) -> InputError:
    return InputError(f"cannot {what} {name}: {error.strerror}; check the path and its permissions")
