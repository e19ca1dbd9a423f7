"""HTTP/2 (RFC 9113), as a passive tap sees it: both directions, from any byte on, never pausing.

parser.py        entrance: one `Http2Parser` for each connection, and `SPEC`
side.py          one direction: its frames become header blocks, bodies and resets of streams
reader.py        splits a direction into frames, through gaps
search.py        finds frames again where their boundary is not known
frames.py        what a frame is made of, and what is wrong with it
hpack.py         header compression, with a table of which only the newest entries may be known
huffman.py       its string code
static_table.py  its static table
heads.py         a header list as request, response or trailers
streams.py       all streams of a connection, where both directions meet
half.py          one message while it is open
answers.py       a finished half as a message
layers.py        what is spoken inside a stream
grpc.py          one of them
probe.py         what detection asks
notes.py         the words that messages carry in `notes`
limits.py        what can grow, and how far
"""

from fleetcap_streams.protocols.http2.parser import SPEC, Http2Parser

__all__ = ["SPEC", "Http2Parser"]
