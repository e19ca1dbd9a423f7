"""The worker beside its peers on the same topic: see `__main__`."""
