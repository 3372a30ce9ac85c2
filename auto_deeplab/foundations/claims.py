"""Claims by which processes, on hosts that see one file system, share work.

A claim is a file that its process touches while it works. One that nobody has touched for a while
is that of a killed process, and is to be had again. Should two take it up at the same moment, both
do the work: what they do must end in equal results, of which either may stay.
"""

import contextlib
import dataclasses
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from auto_deeplab.foundations.errors import UserError, reason_of

TOUCH_SECONDS = 10.0
STALE_SECONDS = 90.0


@dataclasses.dataclass(frozen=True)
class Claims:
    """A folder of claims.

    Args:
        path: The folder; it is made when something is claimed.
        stale_seconds: How long a claim stands that is not touched.
        touch_seconds: How often a claim is touched.
    """

    path: Path
    stale_seconds: float = STALE_SECONDS
    touch_seconds: float = TOUCH_SECONDS

    def claimed(self) -> set[str]:
        """Returns the keys of those claims that somebody keeps."""
        return {
            path.name
            for path in self.path.glob("*")
            if not path.name.startswith(".") and not self._is_stale(path)
        }

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Claims a piece of work while the block runs; yields whether it was to be had.

        Args:
            key: What names the work; a name of a file.

        Raises:
            UserError: The file system refuses.
        """
        path = self.path / key
        if not self._acquire(path):
            yield False
            return
        stop = threading.Event()
        thread = threading.Thread(target=self._touch, args=(path, stop), daemon=True)
        thread.start()
        try:
            yield True
        finally:
            stop.set()
            thread.join()
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def waiting(self, key: str, poll_seconds: float = 0.1) -> Iterator[None]:
        """Claims what is claimed for moments only, and waits until it is to be had.

        Args:
            key: What names it; a name of a file.
            poll_seconds: How often to look.

        Raises:
            UserError: The file system refuses.
        """
        while True:
            with self.claim(key) as is_ours:
                if is_ours:
                    yield
                    return
            time.sleep(poll_seconds)

    def _acquire(self, path: Path) -> bool:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and self._is_stale(path):
                path.unlink(missing_ok=True)
            with open(path, "x", encoding="utf-8") as file:
                file.write(f"{socket.gethostname()} {os.getpid()}\n")
        except FileExistsError:
            return False
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {reason_of(error)}") from error
        return True

    def _touch(self, path: Path, stop: threading.Event) -> None:
        while not stop.wait(self.touch_seconds):
            # Somebody who found it stale has it now: a machine that slept wakes up late.
            with contextlib.suppress(OSError):
                os.utime(path)

    def _is_stale(self, path: Path) -> bool:
        # The file system's clock tells, as the hosts' may differ. Threads may ask at the same time.
        asker = f".{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}"
        probe = self.path / asker
        try:
            probe.touch()
            now = probe.stat().st_mtime
            probe.unlink(missing_ok=True)
            return now - path.stat().st_mtime > self.stale_seconds
        except FileNotFoundError:
            return False
