"""NATS: what clients and servers say to each other, and what servers of a cluster do.

wire.py      where a control line and its payload end and begin
probe.py     whether a connection speaks it
greeting.py  INFO and CONNECT, with what proves an identity left out
facts.py     what a unit says of itself
talk.py      units to messages, and which of them answer which

The body of PUB, HPUB, MSG and HMSG is the payload; `head` holds what stands before it, the control line and the headers. The
body of INFO and CONNECT is their JSON, with the verb as `head`; that of all others is the line. Attributes: `operation` (PUB,
MSG, … in upper case), `subject`, `reply_to`, `sid`, `queue`, `max_messages` (UNSUB), `account` (between servers); `headers` (name
and value, the first 64), `status` and `description` of a message that has them; `in_reply_to`: the subject of the request that
asked for an answer to this message's subject, on this connection; `error` of -ERR. INFO tells `server_id`, `server_name`,
`server_version`, `host`, `port`, `max_payload`, `cluster`, `jetstream`, `auth_required`, `tls_required`; CONNECT `client_name`,
`client_language`, `client_version`, `user`, `verbose`, `pedantic`, `tls_required`.

PING and PONG are exchanges, whoever asks. Where CONNECT said verbose, a client's other commands are too: +OK or -ERR ends them.
What the tap joined too late to know is SINGLE until a +OK shows itself. An -ERR that answers nothing, such as that of a slow
consumer, is SINGLE. `answers` of an answer is the operation that it ends.

Notes: `body-cut`, `truncated`, `secret-hidden`, `after-gap` (bytes were lost before, so whom this answers is likely but not
sure), `resynchronised`.
"""

from typing import Final

from fleetcap_streams.protocols.framed import framed_spec
from fleetcap_streams.protocols.nats.probe import probe
from fleetcap_streams.protocols.nats.talk import NAME, Nats

SPEC: Final = framed_spec(NAME, probe, Nats)
