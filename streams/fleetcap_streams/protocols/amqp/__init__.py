"""AMQP 0-9-1, as RabbitMQ speaks it: methods with their answers, contents, publisher confirms.

methods.py   the methods, their arguments and answers
fields.py    arguments, properties and tables from bytes
wire.py      where frames end and begin
probe.py     whether a connection speaks it
told.py      what a frame says of itself
contents.py  a content while it comes in
channels.py  what is remembered of a channel
talk.py      frames to messages

Content (basic.publish, deliver, return, get-ok) is one message with its method: the body is the content's, `head` a line with the
method and the properties. The body of other methods is such a line. Attributes: `operation` (basic.publish, queue.declare-ok, …;
protocol-header; heartbeat; content, where its method was not seen), `channel`, and the method's arguments by the names that
the specification gives them, with _ for -: `exchange`, `routing_key`, `queue`, `consumer_tag`, `delivery_tag`, `no_wait`, …; of a
content its properties: `content_type`, `correlation_id`, `reply_to`, `message_id`, `headers` (a table), `delivery_mode`, …

Methods that are answered are exchanges, channel by channel, whichever side asks. On a channel in confirm mode whose opening was
seen and of which nothing was lost, basic.publish is a request; each basic.ack or basic.nack is put out once for each
content that it confirms, with that one's tag as `confirms`. A close that has a reason other than success, and basic.return,
have `error_code` and `error`; a close also `failing_method`, and is put out as the answer to that one too: there is no other.

Notes: `body-cut`, `truncated`, `secret-hidden` (what proves an identity), `after-gap` (bytes were lost before, so whom this
answers is likely but not sure; or a content's method was lost), `unreadable` (a frame whose arguments are not its
method's), `resynchronised`.
"""

from typing import Final

from fleetcap_streams.protocols.amqp.contents import NAME
from fleetcap_streams.protocols.amqp.probe import probe
from fleetcap_streams.protocols.amqp.talk import Amqp
from fleetcap_streams.protocols.framed import framed_spec

SPEC: Final = framed_spec(NAME, probe, Amqp)
