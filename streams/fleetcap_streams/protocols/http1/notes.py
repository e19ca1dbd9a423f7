"""The words that HTTP/1 messages carry in `notes`: stable, short, for machines. The one list of them.

Bodies have their own in `body.py` (`truncated`, `decode-cut`, `decode-error`, `content-coding-wrong`, `decompressed-limit`,
`decoder-lost`); bytes that belong to no message are raw messages with `skipped` and those of `raw.py` (`gap`, `joined`,
`split`).
"""

from typing import Final

# The head is odd, and was read all the same. A smuggling attempt shows here.
LEADING_CRLF: Final = "leading-crlf"  # empty lines before the start line (RFC 9112 section 2.2)
START_LINE_SPACES: Final = "start-line-spaces"  # more or other whitespace than single spaces (section 3)
TARGET_SPACES: Final = "target-spaces"  # whitespace inside the request target
BARE_LF: Final = "bare-lf"  # lines that end without CR (section 2.2)
OBS_FOLD: Final = "obs-fold"  # a field value folded over lines (section 5.2)
SPACE_BEFORE_COLON: Final = "space-before-colon"  # section 5.1
HEADER_INVALID: Final = "header-invalid"  # a line that is no field, or a control character in one; its bytes are in the head
HEADERS_TOO_MANY: Final = "headers-too-many"  # over the limit: the first ones are listed, all of them count for framing
HEAD_TOO_LONG: Final = "head-too-long"  # over the limit: cut there
HEAD_CUT: Final = "head-cut"  # it ended, or bytes are missing, inside the head

# How the body is framed.
LENGTH_REPEATED: Final = "content-length-repeated"  # the same number several times (RFC 9110 section 8.6)
LENGTH_CONFLICT: Final = "content-length-conflict"  # different numbers: a request has no body, a response runs until closed
LENGTH_INVALID: Final = "content-length-invalid"  # not a number: as with a conflict
LENGTH_AND_CHUNKED: Final = "content-length-and-transfer-encoding"  # the latter counts (RFC 9112 section 6.3)
CHUNKED_IN_1_0: Final = "transfer-encoding-in-http-1.0"  # section 6.1
CHUNKED_NOT_LAST: Final = "chunked-not-last"  # the body runs until closed (section 6.3)
TRANSFER_CODING_UNKNOWN: Final = "transfer-coding-unknown"
CONTENT_CODING_UNKNOWN: Final = "content-coding-unknown"  # the body is as sent from that coding on
CHUNK_INVALID: Final = "chunk-invalid"  # chunked framing broke off: the rest is searched for the next head
BODY_CUT: Final = "body-cut"  # the connection ended, or an unknown amount is missing, before the body's end
END_NOT_SEEN: Final = "end-not-seen"  # a body that runs until closed, of a connection whose close was not seen
GAP: Final = "gap"  # bytes are missing inside the message

# Its place in the connection.
RESYNCHRONISED: Final = "resynchronised"  # found by searching, after bytes that are missing or belong to no message
REQUEST_UNKNOWN: Final = "request-unknown"  # answers a request that was not seen: if that was HEAD, there is no body
PAIRING_UNCERTAIN: Final = "pairing-uncertain"  # bytes are missing between requests and responses
PENDING_LIMIT: Final = "pending-limit"  # too many requests wait already: its response will not find it

SKIPPED: Final = "skipped"  # of a raw message: not HTTP, or the middle of a message whose head was not seen
