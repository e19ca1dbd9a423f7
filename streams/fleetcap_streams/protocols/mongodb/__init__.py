"""MongoDB's wire protocol: OP_MSG, OP_COMPRESSED and the legacy operations.

wire.py         where messages end and begin; the probe
compression.py  what OP_COMPRESSED holds
bson.py         documents, element by element
json_text.py    documents as text
facts.py        what commands and replies say of themselves
messages.py     one message taken apart
talk.py         commands and replies to messages

A message's body is relaxed extended JSON: the command with its document sequences in it, or the reply; several documents of
legacy operations stand one a line. Its size is that on the wire. Attributes of both: `operation` (OP_MSG …; of what was
compressed), `request_id`, `command`, `compressor` (snappy, zlib, zstd, noop), `more_to_come`, `exhaust_allowed`, `checksum`.
Of a command: `database`, `collection`, `documents` (how many it writes), `cursor_id`, `cursors`. Of a reply: `response_to`,
`ok`, `n`, `modified`, `rows` (documents returned), `cursor_id` (0: no more to fetch), `error_code`, `error_name`, `error`,
`write_errors`. What gets no reply is SINGLE; replies that follow each other unasked (exhaust) are INTERIM up to the last.

Notes: `body-cut` (also where documents are nested too deeply), `truncated`, `secret-hidden` (passwords, SASL messages),
`unreadable` (a frame whose content is not what its header says), `resynchronised`.

Checksums are not checked. Not read: OP_COMMAND, which only servers of versions 3.2 to 4.0 said to each other.
"""

from typing import Final

from fleetcap_streams.protocols.framed import framed_spec
from fleetcap_streams.protocols.mongodb.talk import NAME, MongoDb
from fleetcap_streams.protocols.mongodb.wire import probe

SPEC: Final = framed_spec(NAME, probe, MongoDb)
