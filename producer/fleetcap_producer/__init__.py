"""The thin node producer: it copies what probes see, stamps it, packs it by connection, ships it, and counts what it lost.

    attach points → kernel programs (`fleetcap_bpf`) → ring buffer → tap → packing → shipping → fleetcap.raw.v1

It parses no protocol.
"""
