"""How many records there are in what Produce and Fetch carry, by the headers of their batches alone: nothing is decompressed.

Source: "Record Batch" of Kafka's documentation; "Old Message Format" for those of Kafka before 0.11.
"""

from typing import Final, NamedTuple

_MAGIC: Final = 16  # where the format's version stands in a batch, in old message sets too
_PREFIX: Final = 12  # offset and length
_BATCH: Final = 61  # bytes of a batch before its first record
_COUNT: Final = 57
_ATTRIBUTES: Final = 17  # of an old message
_CODEC: Final = 7
_LEAST: Final = 14  # the length that an old message without key and value has
_NEW: Final = 2


class Counted(NamedTuple):
    """Records that are told of.

    `sure` is False where old messages are compressed, so that only sets of them can be counted, or where bytes are no batch.
    """

    records: int
    sure: bool


def count(data: bytes, at: int, end: int) -> Counted:
    """Records in the batches that begin from `at` on. A broker may cut the last one off; its records are none yet."""
    found, sure = 0, True
    while at + _ATTRIBUTES < end:
        size = int.from_bytes(data[at + 8 : at + _PREFIX], "big", signed=True)
        after = at + _PREFIX + size
        if size < _LEAST or data[at + _MAGIC] > _NEW:
            return Counted(found, sure=False)
        if data[at + _MAGIC] < _NEW:
            sure = sure and not data[at + _ATTRIBUTES] & _CODEC
            found += after <= end
        elif at + _BATCH <= end and after <= end:
            found += max(int.from_bytes(data[at + _COUNT : at + _BATCH], "big", signed=True), 0)
        at = after
    return Counted(found, sure)
