"""DNS over TCP and TLS (RFC 1035, RFC 7766, RFC 7858): queries and responses, which may overtake each other.

wire.py  where messages end and begin; the probe
talk.py  queries and responses to messages

A message's body is text as `dig` prints it: the question, or the records of a response, one a line; its size is that on the wire.
Attributes of both: `id`, `opcode` (QUERY, NOTIFY, UPDATE …), `name`, `type` and `class` of the question, `questions` where
they are not one. Of a response: `rcode` (NOERROR, NXDOMAIN …), `error_code` (its number, where it is not 0), `rows` (answers),
`authority` and `additional` (how many records), `authoritative`, `truncated`. An extended error (RFC 8914) is `error`.

Notes: `body-cut`, `truncated`, `after-gap` (bytes were lost since the query, so whom this answers is likely but not sure),
`unreadable` (a frame of the right length that is no message), `resynchronised`.
"""

from typing import Final

from fleetcap_streams.protocols.dns.talk import NAME, Dns
from fleetcap_streams.protocols.dns.wire import probe
from fleetcap_streams.protocols.framed import framed_spec

SPEC: Final = framed_spec(NAME, probe, Dns)
