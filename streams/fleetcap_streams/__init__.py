"""What puts captured connections back together, in the order in which data goes through it.

    kafka/      records of the raw topic come in, outputs and state go out in one checkpoint; the only part that does I/O
    engine/     lifecycle, reassembly, exchanges: which bytes belong together, and when a connection is over
    protocols/  what the bytes mean: detection, and one small parser for each protocol
    outputs/    values become records of output topics, lines of text, or JSON
    app.py      the Faust app that joins them

`engine`, `protocols` and `outputs` are sans-IO: bytes, events and times go in and values come out. They import no Kafka
client, no Faust, no asyncio, and read no clock, so the worker, `fleetcap decode` and the tests run the very same code.
"""
