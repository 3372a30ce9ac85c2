"""The folder by which several processes, or hosts that see one file system, share trainings.

  setting.json           what all trainings have in common
  results/KEY.json       a finished training, written whole or not at all
  claims/KEY             somebody trains it: the file is touched while that goes on

A claim that nobody has touched for a while is that of a killed process, and its training is taken
up again. Should two take it up at the same moment, both train it, and one of two equal results
stays.
"""

import contextlib
import dataclasses
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError, reason_of

TOUCH_SECONDS = 10.0
STALE_SECONDS = 90.0


@dataclasses.dataclass(frozen=True)
class SharedFolder:
    """Results and claims of trainings.

    Args:
        path: The folder; it is made when something is written.
        stale_seconds: How long a claim stands that is not touched.
        touch_seconds: How often a claim is touched.
    """

    path: Path
    stale_seconds: float = STALE_SECONDS
    touch_seconds: float = TOUCH_SECONDS

    def agree_on(self, setting: Mapping[str, Any]) -> None:
        """Keeps what all results have in common, or compares it with what is kept.

        Raises:
            UserError: The folder has results of another setting.
        """
        path = self.path / "setting.json"
        if not path.exists():
            json_files.write(path, setting)
            return
        kept = json_files.read(path)
        asked = json_files.parse(json_files.to_json(setting))
        for name in {**kept, **asked}:
            if kept.get(name) != asked.get(name):
                raise UserError(
                    f"{path}: {name}: received {kept.get(name)!r}; expected "
                    f"{asked.get(name)!r}, or another --folder"
                )

    def setting(self) -> dict[str, Any]:
        """Returns what `agree_on` kept.

        Raises:
            UserError: There is nothing yet.
        """
        path = self.path / "setting.json"
        if not path.exists():
            raise UserError(f"--folder: {self.path} has no results; expected those of a training")
        setting: dict[str, Any] = json_files.read(path)
        return setting

    def finished(self) -> set[str]:
        """Returns the keys of all results."""
        return {path.stem for path in self._results.glob("*.json")}

    def result(self, key: str) -> Any:
        """Returns a result, as JSON values."""
        return json_files.read(self._results / f"{key}.json")

    def write_result(self, key: str, result: Mapping[str, Any]) -> None:
        """Writes a result, whole or not at all."""
        json_files.write(self._results / f"{key}.json", result)

    def claimed(self) -> set[str]:
        """Returns the keys of those claims that somebody keeps."""
        return {path.name for path in self._claims.glob("*") if not self._is_stale(path)}

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Claims a training while the block runs; yields whether it was to be had.

        It is not where somebody else has it, or where its result is there.

        Raises:
            UserError: The file system refuses.
        """
        path = self._claims / key
        if not self._acquire(path):
            yield False
            return
        stop = threading.Event()
        thread = threading.Thread(target=self._touch, args=(path, stop), daemon=True)
        thread.start()
        try:
            # Its result may have appeared since the caller looked.
            yield key not in self.finished()
        finally:
            stop.set()
            thread.join()
            path.unlink(missing_ok=True)

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
        # The file system's clock tells, as the hosts' may differ.
        probe = self._claims / f".{socket.gethostname()}.{os.getpid()}"
        try:
            probe.touch()
            now = probe.stat().st_mtime
            probe.unlink(missing_ok=True)
            return now - path.stat().st_mtime > self.stale_seconds
        except FileNotFoundError:
            return False

    @property
    def _results(self) -> Path:
        return self.path / "results"

    @property
    def _claims(self) -> Path:
        return self.path / "claims"
