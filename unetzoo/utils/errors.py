"""Errors that the commands print as one sentence."""


class RunStopped(RuntimeError):
    """A run cannot go on; its last checkpoint is whole. The message says what to do."""
