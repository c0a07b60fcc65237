"""Errors that the commands tell as a sentence."""


class RunStopped(RuntimeError):
    """A run that cannot go on; its last checkpoint is whole. The message says what to do."""
