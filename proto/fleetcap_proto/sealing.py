"""Encrypts records of the raw topic, and decrypts them: both ends of `Sealed`.

Each producer draws a salt; HKDF (RFC 5869) makes of it and the shared key a key of its own, under which it numbers its records.
So the nonce of AES-256-GCM, the number, never comes twice under one key, however many producers there are and however long they
run (NIST SP 800-38D, section 8.3, bounds random nonces to 2^32 records). It owns the cryptography; it must not know where keys
come from, and reads no clock and no file.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError

from fleetcap_proto.v1 import raw_pb2

KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_INFO: Final = b"fleetcap raw record 1"
# RawBatch.sealed stands before everything else, so that a reader can tell a sealed record by one byte.
_FIRST: Final = bytes([raw_pb2.RawBatch.DESCRIPTOR.fields_by_name["sealed"].number << 3 | 2])


class SealedError(ValueError):
    """A sealed record cannot be opened. The text says why and what to do, and holds no byte of record or key."""


class Key(NamedTuple):
    """A key that producers and workers share, 32 bytes, and its name."""

    id: str
    secret: bytes


# Gives the secret of a key id, or None.
Keys = Callable[[str], bytes | None]


class Sealer:
    """Encrypts a producer's records. For one process: a copy of it would use numbers twice."""

    def __init__(self, key: Key) -> None:
        self.key_id = key.id
        self._salt = os.urandom(_SALT_BYTES)
        self._cipher = AESGCM(_derived(key.secret, self._salt))
        self._number = 0

    def seal(self, key: bytes, value: bytes, events: int) -> bytes:
        """The `RawBatch` that holds the serialized one `value`, of `events` events, for the Kafka key `key`."""
        number, self._number = self._number, self._number + 1
        sealed = raw_pb2.Sealed(
            key_id=self.key_id,
            salt=self._salt,
            number=number,
            ciphertext=self._cipher.encrypt(_nonce(number), value, key),
        )
        # In two parts, because a serializer may write fields in an order of its own.
        return raw_pb2.RawBatch(sealed=sealed).SerializeToString() + raw_pb2.RawBatch(event_count=events).SerializeToString()


def is_sealed(value: bytes) -> bool:
    """Whether a record's value looks like one that was sealed."""
    return value[:1] == _FIRST


def opened(key: bytes, value: bytes, keys: Keys) -> bytes:
    """What `Sealer.seal` was given.

    Raises:
        SealedError: its key is not known, or it is not what a holder of the key sealed for this Kafka key.
    """
    try:
        sealed = raw_pb2.RawBatch.FromString(value).sealed
    except DecodeError:
        raise SealedError("the encrypted record is cut or damaged") from None
    secret = keys(sealed.key_id)
    if secret is None:
        raise SealedError(f"it is encrypted with the key {sealed.key_id!r}, which is not known here; add that to the keys")
    try:
        return _cipher(secret, sealed.salt).decrypt(_nonce(sealed.number), sealed.ciphertext, key)
    except InvalidTag:
        raise SealedError(
            f"it does not open with the key {sealed.key_id!r}: it was changed, or another key has that name; compare the keys"
        ) from None


@lru_cache(maxsize=4096)
def _cipher(secret: bytes, salt: bytes) -> AESGCM:
    """A producer's cipher; there is one for each of its runs."""
    return AESGCM(_derived(secret, salt))


def _derived(secret: bytes, salt: bytes) -> bytes:
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=_INFO).derive(secret)


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "big")
