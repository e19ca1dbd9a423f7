"""What can go wrong with a Kafka that we start or prepare. Every text is one line that ends with the remedy."""


class BrokerError(Exception):
    """The embedded broker cannot be had, or did not start."""


class TopicsError(Exception):
    """The topics cannot be created or checked."""
