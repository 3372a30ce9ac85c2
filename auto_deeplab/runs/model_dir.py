"""The folder that one training writes: which file is where, and what may be put into it."""

import dataclasses
import datetime
import difflib
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, TextIO

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

from auto_deeplab.data.description import FILE_NAME as DESCRIPTION_NAME
from auto_deeplab.foundations import gin_files, json_files
from auto_deeplab.foundations.errors import UserError, argument, reason_of
from auto_deeplab.runs.versions import package_versions
from auto_deeplab.search_space import HistoryEntry, read_history

CONFIG_NAME = "config.gin"
GENOTYPE_NAME = "genotype.json"
HISTORY_NAME = "architecture.jsonl"

Count = Annotated[int, Field(ge=0, le=json_files.LARGEST_INTEGER)]
# Float32 has no larger ones, and the figures of a report no room for them.
Figure = Annotated[FiniteFloat, Field(ge=-3.5e38, le=3.5e38)]


class EpochMetrics(BaseModel):
    """A line of metrics.jsonl: what an epoch ended with. A figure that does not exist is null."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Figure | None]

    epoch: Annotated[Count, Field(ge=1)]
    step: Count


def _check_time(text: str) -> str:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a time such as 2026-01-31T12:00:00+00:00") from None
    return text


class Session(BaseModel):
    """A line of sessions.jsonl: when a training was started or continued, and with what."""

    started: Annotated[str, AfterValidator(_check_time)]
    step: Count
    packages: dict[str, str]
    devices: list[str]
    replicas: Annotated[Count, Field(ge=1)] = 1


@dataclasses.dataclass(frozen=True)
class ModelDir:
    """Names the files of a training's folder.

    Args:
        path: The folder; made when something is written to it.
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
    def description(self) -> Path:
        """The description of the dataset that is trained on."""
        return self.path / DESCRIPTION_NAME

    @property
    def history(self) -> Path:
        """The history of a search: alpha and beta after each epoch."""
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
            UserError: Another process trains into the folder, or a file in it is not what a
                training can go on with.
        """
        made = [path for path in (self.path, *self.path.parents) if not path.exists()]
        with self._open_lock() as file:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            try:
                self._check()
                yield
            finally:
                # Before the lock is let go: nobody else has begun here.
                if not self.config.exists():
                    self._remove(made)

    def _check(self) -> None:
        """Reads what an epoch's end reads, and more, before the first epoch is trained.

        Raises:
            UserError: A file is wrong, or a folder is in the place of a file or the reverse.
        """
        for folder in (self.checkpoints, self.tensorboard):
            if os.path.lexists(folder) and not folder.is_dir():
                raise UserError(f"{folder}: received a file; expected a folder, or nothing")
        for file in (self.config, self.genotype, self.description):
            if file.is_dir():
                raise UserError(f"{file}: received a folder; expected a file, or nothing")
        self.read_metrics()
        self.read_sessions()
        self.read_history()

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
            UserError: Another process has locked it.
        """
        while True:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                file = self.lock.open("a+", encoding="utf-8")
            except OSError as error:
                raise UserError(f"{self.lock}: cannot be written: {reason_of(error)}") from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with file:
                    file.seek(0)
                    raise UserError(
                        f"{self.path}: {file.read().strip() or 'another process'} trains into it; "
                        f"wait for it, end it, or give another {argument('model_dir')}"
                    ) from None
            # The file that was opened may have been removed by the process that had it locked.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), self.lock.stat()):
                    return file
            file.close()

    def keep_config(self, config: str) -> None:
        """Writes the configuration, or checks it against that of the run to be continued.

        A run may be older than a parameter. One that its configuration lacks is added with the
        value that it has now, and kept to from then on.

        Args:
            config: Every value in effect, in gin's language.

        Raises:
            UserError: The folder holds a run of another configuration.
        """
        kept = json_files.read_text(self.config) if self.config.is_file() else ""
        if kept == config:
            return
        before, now = (
            {binding.name: binding for binding in gin_files.read_bindings(text, source)}
            for text, source in ((kept, str(self.config)), (config, "the configuration given"))
        )
        if not before.items() <= now.items():
            difference = "\n".join(
                line
                for line in difflib.unified_diff(
                    kept.splitlines(), config.splitlines(), "kept", "given", n=0, lineterm=""
                )
                if not line.startswith("@@")
            )
            raise UserError(
                f"{self.path} holds a run of another configuration:\n{difference}\n"
                f"give another {argument('model_dir')}, or the configuration that it was started "
                "with"
            )
        if before.keys() != now.keys():
            json_files.write_text(self.config, config)

    def append_metrics(self, values: dict[str, Any]) -> None:
        """Adds an epoch's line to the metrics.

        Lines of this epoch and later ones are dropped: a run that goes on from a checkpoint
        writes them again.
        """
        lines = [line for line in self.read_metrics() if line["epoch"] < values["epoch"]]
        json_files.write_lines(self.metrics, [*lines, values])

    def read_metrics(self, schema: type[EpochMetrics] = EpochMetrics) -> list[dict[str, Any]]:
        """Returns the epochs' lines, oldest first; none where there is no file.

        Args:
            schema: What each line has to have.

        Raises:
            UserError: A line is not as the schema says, or epochs are not in order.
        """
        lines = _read_lines(self.metrics, schema)
        for number, (line, before) in enumerate(zip(lines[1:], lines, strict=False), start=2):
            for name in ("epoch", "step"):
                if line[name] <= before[name]:
                    raise json_files.ContentError(
                        f"{self.metrics}, line {number}",
                        name,
                        line[name],
                        f"expected more than {before[name]}, which the line before has",
                    )
        return lines

    def append_session(self, step: int, devices: Sequence[str], replicas: int = 1) -> None:
        """Notes when the training goes on after `step`, with which packages, on which devices.

        Args:
            step: The number of finished steps.
            devices: Of this machine.
            replicas: How many divide each batch, on all machines.
        """
        session = {
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "step": step,
            "packages": package_versions(),
            "devices": list(devices),
            "replicas": replicas,
        }
        json_files.write_lines(self.sessions, [*self.read_sessions(), session])

    def read_sessions(self) -> list[dict[str, Any]]:
        """Returns the sessions' lines, oldest first; none where there is no file.

        Raises:
            UserError: A line is not one of a session.
        """
        return _read_lines(self.sessions, Session)

    def read_history(self) -> list[HistoryEntry]:
        """Returns alpha and beta after each epoch of a search; none where there is no file.

        Raises:
            UserError: A line is wrong.
        """
        return read_history(self.history) if os.path.lexists(self.history) else []


def _read_lines(path: Path, schema: type[BaseModel]) -> list[dict[str, Any]]:
    """Returns the JSON object of each line of a file; none where there is no file.

    Raises:
        UserError: It cannot be read, or a line is not as the schema says.
    """
    if not os.path.lexists(path):
        return []
    lines = []
    # Earlier versions wrote NaN for a figure that does not exist.
    for source, line in json_files.read_lines(path, nan_as_null=True):
        json_files.check(line, schema, source)
        lines.append(line)
    return lines
