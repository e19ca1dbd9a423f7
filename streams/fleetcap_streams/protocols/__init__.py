"""What the bytes of a connection mean: `contract` says what a protocol is, `registry` which there are, `detection` picks one."""
