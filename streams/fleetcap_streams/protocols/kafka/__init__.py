"""Apache Kafka's wire protocol: requests and responses of every API, up to Kafka 4.1.

apis.py         the APIs: names, versions, headers
error_names.py  what error codes are called
layout.py       the bodies that are read, version by version
reading.py      bodies, field by field
records.py      how many records there are
wire.py         where frames begin and end; their headers
probe.py        whether a connection speaks it
searching.py    where they begin after a loss
state.py        what is remembered
telling.py      what is told of a request or a response
talk.py         requests and responses to messages

A message's body is a line such as `Fetch v12 topics=orders partitions=3`; its size is that on the wire. Attributes of both:
`api_key`, `api_name`, `api_version`, `correlation_id`; of a request: `client_id`, `group` (of APIs that begin with it), `acks`.
Of both of Produce, Fetch and Metadata: `topics` (the first of them), `topic_count`, `partitions` (of all topics), `records` (of
Produce requests and Fetch responses), `all_topics` (a Metadata request that names none). Of a response: `error_code`,
`error_name` (the first that is not 0: of the response, of a topic or of a partition), `errors` (how many). Other APIs' responses
have `error_code` where it is their first field. A topic that is named by its id (KIP-516) is shown by its name where Metadata
told it on the same connection. A Produce request with `acks` 0 is SINGLE, since nobody answers it.

Notes: `request-unknown` (a response whose request was not seen: only its `correlation_id` is told), `version-unknown` (newer than
what is known: the header alone was read), `records-uncounted` (old messages, compressed: sets of them were counted),
`counted-partly` (a frame longer than the cap), `bytes-left` (behind all that the version has; brokers pass over them),
`secret-hidden` (SASL tokens), `body-cut`, `truncated`, `unreadable`, `resynchronised`.

Records are counted and never shown. Checksums are not checked.
"""

from typing import Final

from fleetcap_streams.protocols.framed import framed_spec
from fleetcap_streams.protocols.kafka.probe import probe
from fleetcap_streams.protocols.kafka.talk import NAME, Kafka

SPEC: Final = framed_spec(NAME, probe, Kafka)
