"""Checkpoints as files: whole, with checksums, the last few and the best kept.

A checkpoint of step n is files called `step-n.*` and a manifest, `step-n.json`, with the size and
the SHA-256 of each. The manifest is renamed into place when everything else is on the disk: what
has none is the rest of an interruption, not a checkpoint.
"""

import dataclasses
import errno
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from auto_deeplab.atomic_file import replacing
from auto_deeplab.errors import UserError

FORMAT = 1
# The note by which checkpoints are compared; the larger the better.
SCORE = "val_mean_iou"

_NAME = re.compile(r"\.?step-(\d+)\.")


class Content(NamedTuple):
    """What a file shall hold: how many bytes, and them in pieces."""

    size: int
    pieces: Iterable[bytes]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a checkpoint consists of.

    Args:
        step: the number of finished steps.
        files: of each file beside the manifest the size ("bytes") and the SHA-256 ("sha256").
        notes: what the training wants to find again.
    """

    step: int
    files: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, Any]

    def to_json(self) -> str:
        """Returns the manifest's text."""
        document = {"format": FORMAT} | dataclasses.asdict(self)
        return json.dumps(document, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, step: int) -> "Manifest":
        """Reads the manifest of a step.

        Raises:
            ValueError: it is none; the message says what is wrong.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"expected an object with format {FORMAT}")
        if document.get("step") != step:
            raise ValueError(f"step: received {document.get('step')!r}; expected {step}")
        files, notes = document.get("files"), document.get("notes")
        if not isinstance(notes, dict):
            raise ValueError(f"notes: received {notes!r}; expected an object")
        if not isinstance(files, dict) or not files:
            raise ValueError(f"files: received {files!r}; expected an object that names files")
        for name, properties in files.items():
            # A name with a folder in it could be any file.
            if not name.startswith(f"step-{step}.") or "/" in name:
                raise ValueError(f"files: received {name!r}; expected step-{step}.*")
            if not isinstance(properties, dict) or {"bytes", "sha256"} - properties.keys():
                raise ValueError(f"files: {name}: expected bytes and sha256")
        return cls(step, files, notes)


@dataclasses.dataclass(frozen=True)
class CheckpointFiles:
    """The checkpoints in a folder.

    Args:
        folder: where they are; made when something is written to it.
        kept: how many of the newest are kept. The one with the best `SCORE` is kept beside them.
    """

    folder: Path
    kept: int = 3

    def prefix(self, step: int) -> Path:
        """Returns the path of a checkpoint, without what its files' names end with."""
        return self.folder / f"step-{step}"

    def steps(self) -> list[int]:
        """Returns the steps that have a manifest, oldest first."""
        names = (re.fullmatch(r"step-(\d+)\.json", path.name) for path in _listed(self.folder))
        return sorted(int(name[1]) for name in names if name)

    def read(self, step: int) -> Manifest:
        """Returns a manifest; whether the files are as it says is left to `verify`.

        Raises:
            UserError: it is unreadable, or no manifest.
        """
        path = self._manifest(step)
        try:
            return Manifest.from_json(path.read_text(encoding="utf-8"), step)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: is no manifest: {error}") from None

    def verify(self, step: int) -> Manifest:
        """Returns a manifest whose files are as it says: all are read.

        Raises:
            UserError: one is missing, torn or changed, or the manifest is.
        """
        manifest = self.read(step)
        for name, properties in manifest.files.items():
            path = self.folder / name
            try:
                with path.open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise UserError(f"{path}: cannot be read: {error.strerror}") from None
            if size != properties["bytes"]:
                raise UserError(
                    f"{path}: is torn: it has {size:,} bytes; expected {properties['bytes']:,}"
                )
            if digest != properties["sha256"]:
                raise UserError(f"{path}: has changed since it was written: its SHA-256 differs")
        return manifest

    def newest(self) -> tuple[Manifest | None, dict[int, str]]:
        """Returns the newest checkpoint that is whole, and what is wrong with each newer one."""
        damage = {}
        for step in reversed(self.steps()):
            try:
                return self.verify(step), damage
            except UserError as error:
                damage[step] = str(error)
        return None, damage

    def best(self) -> Manifest | None:
        """Returns the checkpoint with the best score, of several the first; None if none has one.

        Its files are not read, see `verify`.
        """
        best = None
        for step in self.steps():
            try:
                manifest = self.read(step)
            except UserError:
                continue
            score = manifest.notes.get(SCORE)
            if not isinstance(score, float) or not math.isfinite(score):
                continue
            if best is None or score > best.notes[SCORE]:
                best = manifest
        return best

    def write(self, step: int, contents: Mapping[str, Content], notes: Mapping[str, Any]) -> None:
        """Writes a checkpoint and drops those that are not kept.

        Args:
            step: the number of finished steps.
            contents: what a file's name ends with, such as ".index" -> what it shall hold.
            notes: what goes into the manifest; JSON.

        Raises:
            UserError: there is no room for it, or the file system refuses. The checkpoints that
                there are stay.
        """
        needed = sum(content.size for content in contents.values())
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.folder).free < needed:
                raise self._full(step, needed)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written: {error.strerror}") from error
        files = {}
        try:
            for ending, content in contents.items():
                path = self.folder / f"step-{step}{ending}"
                files[path.name] = {"bytes": content.size, "sha256": _write(path, content.pieces)}
            self._write_manifest(Manifest(step, files, notes))
        except UserError as error:
            if getattr(error.__cause__, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise self._full(step, needed) from error
            raise
        self.prune()

    def note(self, step: int, notes: Mapping[str, Any]) -> None:
        """Replaces the notes of a checkpoint, and drops those that are not kept."""
        self._write_manifest(dataclasses.replace(self.read(step), notes=notes))
        self.prune()

    def prune(self) -> None:
        """Drops old checkpoints, and what interruptions left."""
        kept = set(self.steps()[-self.kept :])
        if (best := self.best()) is not None:
            kept.add(best.step)
        self._remove(lambda step: step not in kept)

    def discard(self, step: int) -> None:
        """Drops a checkpoint."""
        self._remove(lambda other: other == step)

    def _remove(self, is_unwanted) -> None:
        unwanted = [
            path
            for path in _listed(self.folder)
            if (name := _NAME.match(path.name))
            and (path.name.startswith(".") or is_unwanted(int(name[1])))
        ]
        # Without its manifest a checkpoint is none, however many of its files are left.
        for path in sorted(unwanted, key=lambda path: path.suffix != ".json"):
            path.unlink(missing_ok=True)

    def _manifest(self, step: int) -> Path:
        return self.folder / f"step-{step}.json"

    def _write_manifest(self, manifest: Manifest) -> None:
        _write(self._manifest(manifest.step), [manifest.to_json().encode()])
        # The renaming itself, too, must have reached the disk before older checkpoints go.
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _full(self, step: int, needed: int) -> UserError:
        steps = self.steps()
        kept = f"; the checkpoint of step {steps[-1]} is kept" if steps else ""
        free = shutil.disk_usage(self.folder).free
        return UserError(
            f"{self.folder}: step {step} cannot be saved: it needs {needed:,} bytes, and "
            f"{free:,} are free{kept}. Make room, then the same command continues"
        )


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _write(path: Path, pieces: Iterable[bytes]) -> str:
    """Writes a file that appears when it is on the disk; returns the SHA-256 of what it holds."""
    digest = hashlib.sha256()
    with replacing(path) as temporary, temporary.open("wb") as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
