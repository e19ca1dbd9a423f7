"""The short way for plain HTTP/1: the engine's work and the encoder's in one step, in C. Everything works without it."""
