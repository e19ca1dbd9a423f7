"""How long a message body is, by its head alone (RFC 9112 section 6.3). Knows nothing of requests that a response answers."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from fleetcap_streams.protocols.decoding import MAX_CODINGS, known
from fleetcap_streams.protocols.http1 import notes

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
_MAX_DIGITS: Final = 18  # fits 63 bits; longer ones are an attack on somebody's integer


class Framing(NamedTuple):
    """`length` in bytes, or one of the two constants; `codings` in the order in which they are taken off."""

    length: int
    codings: tuple[str, ...]
    notes: tuple[str, ...]


def frame(*, request: bool, version: str, lengths: Sequence[str], transfer: Sequence[str], content: Sequence[str]) -> Framing:
    """Judge by the values of Content-Length, Transfer-Encoding and Content-Encoding fields, in their order."""
    unframed = 0 if request else UNTIL_CLOSE
    codings, said = _content_codings(content)
    transfers = [coding for coding in _tokens(transfer) if coding != "identity"]  # its older meaning: none at all
    if transfers:
        length, taken, more = _by_transfer(transfers)
        codings = taken + codings
        said += more
        said += (notes.LENGTH_AND_CHUNKED,) if lengths else ()
        said += (notes.CHUNKED_IN_1_0,) if version == "1.0" else ()
    elif lengths:
        length, more = _by_lengths(lengths, unframed)
        said += more
    else:
        length = unframed
    return Framing(length, codings, said)


def _tokens(values: Sequence[str]) -> list[str]:
    """A list field's elements in lower case, parameters left off, empty ones ignored (RFC 9110 section 5.6.1)."""
    elements = (element.partition(";")[0].strip(" \t").lower() for value in values for element in value.split(","))
    return [element for element in elements if element]


def _by_transfer(transfers: list[str]) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    last = transfers[-1] == "chunked"
    others = transfers[:-1] if last else transfers
    said: tuple[str, ...] = () if last else (notes.CHUNKED_NOT_LAST,)
    taken: list[str] = []
    for coding in reversed(others):
        if not known(coding) or len(taken) == MAX_CODINGS:
            said += (notes.TRANSFER_CODING_UNKNOWN,)
            break
        taken.append(coding)
    return CHUNKED if last else UNTIL_CLOSE, tuple(taken), said


def _content_codings(values: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    taken: list[str] = []
    for coding in reversed(_tokens(values)):
        if coding == "identity":
            continue
        if not known(coding) or len(taken) == MAX_CODINGS:
            return tuple(taken), (notes.CONTENT_CODING_UNKNOWN,)
        taken.append(coding)
    return tuple(taken), ()


def _by_lengths(values: Sequence[str], unframed: int) -> tuple[int, tuple[str, ...]]:
    numbers = [number.strip(" \t") for value in values for number in value.split(",")]
    if not all(number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS for number in numbers):
        return unframed, (notes.LENGTH_INVALID,)
    distinct = {int(number) for number in numbers}
    if len(distinct) > 1:
        return unframed, (notes.LENGTH_CONFLICT,)
    return distinct.pop(), (notes.LENGTH_REPEATED,) if len(numbers) > 1 else ()
