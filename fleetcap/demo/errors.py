"""What keeps the demo from running. Every text is one line that ends with the remedy."""


class DemoError(Exception):
    """Something the demo needs cannot be had, or ended by itself."""
