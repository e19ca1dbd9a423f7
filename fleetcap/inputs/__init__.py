"""What `decode` and `import` read: recordings, JSON lines of raw events, packet captures; all become records of the raw topic.

    source ─▶ reading ─┬─▶ recording ──────────────────────────────────▶ records
                       ├─▶ json_events ────────────────────────────────▶ records
                       └─▶ pcap, pcapng ─▶ link ─▶ ip ─▶ tcp ─▶ flows ─▶ records, packed as a producer packs them

Only `source` opens files. Nothing here knows a protocol above TCP, Kafka, or what time it is.
"""
