"""The folder that one training writes: which file is where, and what may be put into it."""

import dataclasses
import datetime
import difflib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from auto_deeplab.atomic_file import replacing
from auto_deeplab.errors import UserError
from auto_deeplab.search_space.model_dir import (
    CONFIG_NAME,
    GENOTYPE_NAME,
    HISTORY_NAME,
    package_versions,
)


@dataclasses.dataclass(frozen=True)
class ModelDir:
    """Names the files of a training's folder.

    Args:
        path: the folder; made when something is written to it.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The operative gin configuration: every value in effect, defaults included."""
        return self.path / CONFIG_NAME

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def genotype(self) -> Path:
        """The architecture: what a search found, or what is retrained."""
        return self.path / GENOTYPE_NAME

    @property
    def history(self) -> Path:
        """alpha and beta after each epoch of a search."""
        return self.path / HISTORY_NAME

    @property
    def metrics(self) -> Path:
        """One JSON line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def sessions(self) -> Path:
        """One JSON line each time the training was started or continued."""
        return self.path / "sessions.jsonl"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's logs."""
        return self.path / "tensorboard"

    @property
    def lock(self) -> Path:
        """Names the process that writes the folder, or that did so last."""
        return self.path / "lock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps every other process from training into the folder.

        The system lets go of the lock when the process ends, however it ends: a lock file that is
        left behind locks nothing. A training that fails before its configuration is kept has not
        begun: what was made for it goes again.

        Raises:
            UserError: another process trains into the folder.
        """
        made = [path for path in (self.path, *self.path.parents) if not path.exists()]
        with self._open_lock() as file:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            try:
                yield
            finally:
                # Before the lock is let go: nobody else has begun here.
                if not self.config.exists():
                    self._remove(made)

    def _remove(self, made: Sequence[Path]) -> None:
        """Removes what `locked` has made: the lock, or the whole folder and empty ones above it."""
        if not made:
            self.lock.unlink(missing_ok=True)
            return
        shutil.rmtree(self.path)
        with suppress(OSError):
            for parent in made[1:]:
                parent.rmdir()

    def _open_lock(self) -> TextIO:
        """Returns the lock file, opened and locked.

        Raises:
            UserError: another process has locked it.
        """
        while True:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                file = self.lock.open("a+", encoding="utf-8")
            except OSError as error:
                raise UserError(f"{self.lock}: cannot be written: {error.strerror}") from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with file:
                    file.seek(0)
                    raise UserError(
                        f"{self.path}: {file.read().strip() or 'another process'} trains into it; "
                        "wait for it, end it, or give another --model_dir"
                    ) from None
            # The file that was opened may have been removed by the process that had it locked.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), self.lock.stat()):
                    return file
            file.close()

    def keep_config(self, config: str) -> None:
        """Writes the configuration, or checks it against that of the run to be continued.

        Raises:
            UserError: the folder holds a run of another configuration.
        """
        if self.config.is_file():
            kept = self.config.read_text(encoding="utf-8-sig")
            if kept != config:
                difference = "\n".join(
                    line
                    for line in difflib.unified_diff(
                        kept.splitlines(), config.splitlines(), "kept", "given", n=0, lineterm=""
                    )
                    if not line.startswith("@@")
                )
                raise UserError(
                    f"{self.path} holds a run of another configuration:\n{difference}\n"
                    "give another --model_dir, or the configuration that it was started with"
                )
            return
        with replacing(self.config) as temporary:
            temporary.write_text(config, encoding="utf-8")

    def append_metrics(self, values: dict[str, Any]) -> None:
        """Adds an epoch's line to the metrics.

        Lines of this epoch and later ones are dropped: a run that goes on from a checkpoint
        writes them again.
        """
        lines = [line for line in self.read_metrics() if line["epoch"] < values["epoch"]]
        with replacing(self.metrics) as temporary:
            temporary.write_text(
                "".join(json.dumps(line) + "\n" for line in [*lines, values]), encoding="utf-8"
            )

    def read_metrics(self) -> list[dict[str, Any]]:
        """Returns the epochs' lines, oldest first; none where there is no file."""
        return _read_lines(self.metrics)

    def append_session(self, step: int, devices: Sequence[str], replicas: int = 1) -> None:
        """Notes when the training goes on after `step`, with which packages, on which devices.

        Args:
            step: the number of finished steps.
            devices: of this machine.
            replicas: how many divide each batch, on all machines.
        """
        session = {
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "step": step,
            "packages": package_versions(),
            "devices": list(devices),
            "replicas": replicas,
        }
        with replacing(self.sessions) as temporary:
            temporary.write_text(
                "".join(json.dumps(line) + "\n" for line in [*self.read_sessions(), session]),
                encoding="utf-8",
            )

    def read_sessions(self) -> list[dict[str, Any]]:
        """Returns the sessions' lines, oldest first; none where there is no file."""
        return _read_lines(self.sessions)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Returns the JSON value of each line of a file; none where there is no file.

    Raises:
        UserError: a line is not JSON.
    """
    if not path.is_file():
        return []
    values = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            values.append(json.loads(line))
        except ValueError as error:
            raise UserError(f"{path}, line {number}: expected JSON ({error})") from None
    return values
