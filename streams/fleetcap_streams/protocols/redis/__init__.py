"""Redis: RESP2, RESP3 and inline commands, pipelines, transactions, subscriptions, MONITOR.

wire.py      where elements end and begin; the probe
values.py    elements to one command or answer
talk.py      commands and answers to messages
commands.py  what the tap knows of commands

A message's body is the command's words, or the answer's elements one a line, nested ones indented; its size is that on the
wire. Attributes of a request: `command` (upper case), `arguments` (the first 64, 256 bytes of each), `argument_count`,
`inline`, `transaction` (queued between MULTI and EXEC). Of a response: `command`, `type` (simple_string, error, integer,
bulk_string, array, null, boolean, double, big_number, bulk_error, verbatim_string, map, set, push), `rows` (elements of an
aggregate), `resp` (2 or 3), `error` and `error_code` (its first word), `errors` (also nested), `queued`. What the server
says unasked is SINGLE, with `push` (message, pmessage, smessage, invalidate, monitor, replication …), `channel`, `pattern`.

Notes: `body-cut`, `truncated`, `secret-hidden` (a password was left out), `after-gap` (bytes were lost before; where this
answer begins and whom it answers is likely but not sure, so it is not `complete`), `resynchronised`.
"""

from typing import Final

from fleetcap_streams.protocols.framed import framed_spec
from fleetcap_streams.protocols.redis.talk import NAME, Redis
from fleetcap_streams.protocols.redis.wire import probe

SPEC: Final = framed_spec(NAME, probe, Redis)
