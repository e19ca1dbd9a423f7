"""How data stores' bytes are shown: bounded, readable, and with secrets left out. Knows no protocol."""

import re
from collections.abc import Sequence
from typing import Final

HIDDEN: Final = "(hidden)"

# Notes that several protocols put on messages.
AFTER_GAP: Final = "after-gap"  # bytes were lost before: whom this answers, or where it begins, is likely but not sure
BODY_CUT: Final = "body-cut"  # more than `Limits.body`
LEFT_OUT: Final = "secret-hidden"  # a password, token or the like
TRUNCATED: Final = "truncated"  # bytes of it are missing

VALUE_SIZE: Final = 256  # bytes shown of one argument, parameter or name
VALUES: Final = 64  # of them shown in one message

# A quoted text, also one that was cut off. No quantifier holds another over the same characters: linear on any input.
_QUOTED: Final = rb"""(?:'(?:[^'\\]|\\.|'')*+(?:'|\\?\Z)|"(?:[^"\\]|\\.|"")*+(?:"|\\?\Z))"""
_SECRET: Final = re.compile(
    rb"""(?isx)
    \b(?: PASSWORD \s*+ (?: (?: FOR \s [^='"]{0,200} )? [=(] \s*+ (?: (?:OLD_)?PASSWORD \s*+ \( \s*+ )? )?
      | IDENTIFIED \s++ (?: (?:WITH|VIA) \s++ (?: [^\s'"]{1,64}+ | ['"][^'"]{1,64}['"] ) \s++ )?
        (?:BY|AS|USING) \s++ (?: PASSWORD \s*+ \(? \s*+ )?
      | REPLACE \s++
    )
    (?P<secret> [ENB]?"""
    + _QUOTED
    + rb"""| (?<==) [^\s'",;)]++ )"""
)


def text(value: bytes, size: int = VALUE_SIZE) -> str:
    """Bytes as text, at most so many of them; what is not UTF-8 is shown as escapes."""
    shown = value[:size].decode("utf-8", "backslashreplace")
    return shown if len(value) <= size else shown + "…"


def texts(values: Sequence[bytes | None]) -> list[str | None]:
    """Values as text, at most `VALUES` of them."""
    return [None if value is None else text(value) for value in values[:VALUES]]


def without_secrets(statement: bytes) -> bytes:
    """An SQL statement with the passwords that are set in it left out."""
    lower = statement.lower()
    if b"password" not in lower and b"identified" not in lower:
        return statement
    return _SECRET.sub(_hide, statement)


def _hide(match: re.Match[bytes]) -> bytes:
    start = match.start("secret") - match.start()
    return match.group()[:start] + b"'" + HIDDEN.encode() + b"'"
