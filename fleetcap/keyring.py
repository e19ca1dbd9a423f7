"""The keys of encrypted records, from a file or from a command that asks a key service.

    # a key on each line: its name, and 32 bytes in base64; the first one encrypts, all of them decrypt
    2026-11 q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=

It owns their form and when they are read again. It must not know what they encrypt.
"""

import base64
import binascii
import logging
import shlex
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fleetcap.settings import Settings
from fleetcap_proto.sealing import KEY_BYTES, Key

_log = logging.getLogger(__name__)

# A key that is not known may have been added meanwhile; asking for each of many records would be dear.
_AGAIN_S: Final = 30.0
_COMMAND_S: Final = 20.0


class KeyringError(Exception):
    """There are no keys to be had. One line that ends with the remedy and holds nothing of a key."""


def from_file(path: Path) -> Callable[[], list[Key]]:
    """Reads a file that its owner alone may read."""

    def read() -> list[Key]:
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise KeyringError(f"others than its owner can get at the keys in {path}; run `chmod 600 {path}`")
            return parsed(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise KeyringError(f"the keys in {path} cannot be read: {why}; give another file") from error

    return read


def from_command(command: str) -> Callable[[], list[Key]]:
    """Runs a command, without a shell, that writes to its standard output what would stand in the file."""
    arguments = shlex.split(command)

    def read() -> list[Key]:
        try:
            done = subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=_COMMAND_S)
        except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
            # Not what it said: that may hold keys.
            what = f"exit code {error.returncode}" if isinstance(error, subprocess.CalledProcessError) else type(error).__name__
            raise KeyringError(f"the command for keys, {arguments[0]}, failed ({what}); run it by hand to see why") from None
        return parsed(done.stdout, f"the output of {arguments[0]}")

    return read


def parsed(text: str, place: str) -> list[Key]:
    """The keys in `text`, in order.

    Raises:
        KeyringError: it has none, a line is no key, or a name comes twice; only line numbers are told.
    """
    keys: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, encoded = line.strip().partition(" ")
        try:
            secret = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) != KEY_BYTES:
            raise KeyringError(f"line {number} of {place} is no key; give a name, a blank, and {KEY_BYTES} bytes in base64")
        if any(key.id == name for key in keys):
            raise KeyringError(f"line {number} of {place} has a name that came before; give each key a name of its own")
        keys.append(Key(name, secret))
    if not keys:
        raise KeyringError(f'{place} has no keys; make one with `echo "$(date +%Y-%m) $(head -c 32 /dev/urandom | base64)"`')
    return keys


def source(settings: Settings) -> Callable[[], list[Key]] | None:
    """Where the settings say that keys are; None where records are not encrypted.

    Raises:
        KeyringError: they say two places.
    """
    if settings.record_keys and settings.record_keys_command:
        raise KeyringError("both record_keys and record_keys_command are set; leave one out")
    if settings.record_keys:
        return from_file(settings.record_keys)
    return from_command(settings.record_keys_command) if settings.record_keys_command else None


def keyring(settings: Settings) -> "Keyring | None":
    """For those who read records; None where no keys are set.

    Raises:
        KeyringError: there are none to be had.
    """
    read = source(settings)
    return Keyring(read) if read else None


class Keyring:
    """All keys of a source; asks it again, now and then, when a key is wanted that it did not have.

    Raises:
        KeyringError: there are none at the start.
    """

    def __init__(self, read: Callable[[], Sequence[Key]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._keys = {key.id: key.secret for key in read()}
        self._read_s = clock()

    def __call__(self, key_id: str) -> bytes | None:
        """The secret of a key; None where it is not known."""
        if key_id not in self._keys and self._clock() - self._read_s >= _AGAIN_S:
            self._read_s = self._clock()
            try:
                self._keys = {key.id: key.secret for key in self._read()}
            except KeyringError as error:
                _log.warning("%s", error)
        return self._keys.get(key_id)
