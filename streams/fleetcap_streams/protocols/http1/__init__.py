"""HTTP/1.0 and 1.1 (RFC 9112), as a passive tap sees it: both directions, from any byte on, never pausing.

parser.py        entrance: one `Http1Parser` for each connection
half.py          one direction's state machine: where a message ends and the next begins, through gaps and ends
head_steps.py    its steps between bodies, and the short way for plain messages
body_steps.py    its steps inside bodies
flow.py          its state
backlog.py       bytes that wait for more, and when each came
pairing.py       which response answers which request
open_message.py  a message whose body arrives
head.py          start line and fields, read once per distinct head
framing.py       how long a body is, by its head
chunked.py       the pieces between the bytes of a chunked body
search.py        the next head after loss or nonsense
notes.py         the words that messages carry in `notes`
probe.py         what detection asks
state.py         the form of a snapshot
"""
