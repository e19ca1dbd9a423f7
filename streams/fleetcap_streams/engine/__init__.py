"""Which bytes belong together and when a connection is over.

engine.py      entrance: one `Engine` for each partition; records in, outputs in order out
lifecycle.py   when segments begin and end, by both clocks
reassembly.py  bytes in order, gaps known
exchanges.py   requests with their responses
values.py      what goes in and what comes out
"""
