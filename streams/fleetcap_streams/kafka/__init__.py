"""The only part of the streams package that touches Kafka and Faust: batches in, one checkpoint out.

    preflight.py   before anything starts: is Kafka there, are the topics as they must be; creates the changelog
    transport.py   Faust's aiokafka driver, made to hand over one batch for each partition and fetch
    partitions.py  the partitions this worker owns: what is assigned, recovered, fed, ticked, checkpointed, given up
    owned.py       the life of one of them
    partition.py   its hot state and what waits for its next checkpoint; no I/O
    checkpoint.py  one transaction: outputs, changed states, consumed offset
    recovery.py    the way back: states and offset of the last checkpoint
    store.py       the Faust table's storage, which turns Faust's rebalances into the above
    outgoing.py    records on their way out, made to fit their topics
    cluster.py     one set of options for librdkafka and for aiokafka

Two clients share the work: Faust's aiokafka consumer is the group's member and fetches; confluent-kafka writes
transactions and reads states back. Offsets are committed by checkpoints alone, never by Faust.
"""
