"""Ending when a scheduler says so: SIGTERM, after which some seconds are left to save."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Preemption:
    """Tells whether the process has been asked to end."""

    def __init__(self):
        self.requested = False

    def request(self, *_) -> None:
        """Asks; a signal handler."""
        self.requested = True


@contextmanager
def watching_for_preemption() -> Iterator[Preemption]:
    """Turns SIGTERM into a request until the block ends.

    Signals go to the main thread; in any other there is nothing to be had but the default.
    """
    preemption = Preemption()
    if threading.current_thread() is not threading.main_thread():
        yield preemption
        return
    before = signal.signal(signal.SIGTERM, preemption.request)
    try:
        yield preemption
    finally:
        signal.signal(signal.SIGTERM, before)
