"""What stops the worker. The text of each is one line: what happened, where, and what to do."""


class WorkerError(Exception):
    """The worker cannot start or cannot go on."""


class ConfigurationError(WorkerError):
    """An option is wrong, or cannot be honoured."""


class KafkaUnreachableError(WorkerError):
    """No broker answered."""


class TopicsError(WorkerError):
    """A topic is missing, or is not as the worker needs it."""


class FencedError(WorkerError):
    """Another worker has taken the partition over, so nothing of ours may be written for it any more."""


class StalledError(WorkerError):
    """There is work and it does not get on, for reasons that only a new start can mend."""


class CheckpointError(WorkerError):
    """A checkpoint failed in a way that doing it again cannot mend."""


class UndecidedError(WorkerError):
    """What was saved cannot be read to its end, because a transaction in it is neither committed nor aborted."""
