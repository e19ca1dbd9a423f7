"""The words that HTTP/2 messages carry in `notes`: stable, short, for machines. The one list of them.

Bodies have their own in `protocols/body.py`; a header block's are in `hpack.py` (`hpack-invalid`, `header-list-cut`,
`table-size-above-settings`). Bytes that belong to no frame are messages with `skipped` and those of `protocols/raw.py`.
"""

from typing import Final

# The head.
HEAD_UNKNOWN: Final = "head-unknown"  # its header block was before the tap joined, or was lost
HEADERS_UNKNOWN: Final = "headers-unknown"  # fields named `?` stand in the list for those that are not known
TRAILERS_UNCERTAIN: Final = "trailers-uncertain"  # they may be a head without a body: their first fields are unknown
TRAILERS_LOST: Final = "trailers-lost"
PSEUDO_INVALID: Final = "pseudo-header-invalid"  # unknown, repeated, missing or misplaced (RFC 9113 section 8.3)
HEADER_INVALID: Final = "header-invalid"  # a name or value that section 8.2.1 forbids
CONNECTION_FIELD: Final = "connection-specific-header"  # section 8.2.2; behind a gateway a smuggling attempt
HEAD_REPEATED: Final = "head-repeated"  # a second head, or trailers that do not end the stream
ROLE_GUESSED: Final = "role-guessed"  # nothing in the head tells whether it is a request or a response

# The body.
LENGTH_MISMATCH: Final = "content-length-mismatch"  # section 8.1.1
LENGTH_INVALID: Final = "content-length-invalid"
CODING_UNKNOWN: Final = "content-coding-unknown"  # the body is as sent
CODING_UNCERTAIN: Final = "content-coding-uncertain"  # the body is as sent, which a field that is unknown may have said is coded
DECODERS_LIMIT: Final = "decoders-limit"  # the body is as sent: too many are being decoded
BODY_NOT_KEPT: Final = "body-not-kept"  # too much is kept for other streams of the connection
BODY_CUT: Final = "body-cut"  # the stream ended before the message did
GAP: Final = "gap"  # bytes are missing inside the message, or may be

# Its place in the connection.
UPGRADED: Final = "upgraded"  # answers the HTTP/1 request that asked for h2c
PUSHED: Final = "pushed"
RESYNCHRONISED: Final = "resynchronised"  # the first one after frames had to be found again
REQUEST_UNKNOWN: Final = "request-unknown"  # answers a request that was not seen
STREAMS_LIMIT: Final = "streams-limit"  # put out early: too many streams are open
RESET: Final = "reset"  # followed by `:` and the error code
FRAME_INVALID: Final = "frame-invalid"  # followed by `:`, the frame's type, `:` and the error code
HEADER_BLOCK_LIMIT: Final = "header-block-limit"  # a header block over the limit was let go, and the table with it
CONTINUATION_MISSING: Final = "continuation-missing"  # a header block was broken off
AFTER_END: Final = "frames-after-end"  # frames on a stream that was reset or had ended

GOAWAY: Final = "goaway"
SKIPPED: Final = "skipped"
