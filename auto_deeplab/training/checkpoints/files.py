"""Checkpoints as files: whole, with checksums, the last few and the best kept.

A checkpoint of step n is files called `step-n.*` and a manifest, `step-n.json`, with the size and
the SHA-256 of each, and its own. The manifest is renamed into place when everything else is on the
disk: what has none is the rest of an interruption, not a checkpoint.
"""

import dataclasses
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from absl import logging
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import UserError, reason_of

FORMAT = 2
# The note by which checkpoints are compared; the larger the better.
SCORE = "val_mean_iou"

_NAME = re.compile(r"\.?step-(0|[1-9][0-9]*)\.")


Count = Annotated[int, Field(ge=0, le=json_files.LARGEST_INTEGER)]


class _File(BaseModel):
    """What a manifest says of a file."""

    model_config = ConfigDict(extra="forbid")

    bytes: Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _EpochPart(BaseModel):
    """What is kept of an epoch that had not ended: its steps, the sums of its losses, its time."""

    steps: Annotated[Count, Field(ge=1)]
    sums: dict[str, FiniteFloat]
    seconds: Annotated[FiniteFloat, Field(ge=0)]


class _Notes(BaseModel):
    """The notes that are given a meaning here and in `training.epochs`; there may be others."""

    epoch: _EpochPart | None = None
    val_mean_iou: FiniteFloat | None = None


class _AnyDocument(BaseModel):
    """What manifests of both formats hold."""

    model_config = ConfigDict(extra="forbid")

    step: Count
    files: Annotated[dict[str, _File], Field(min_length=1)]
    notes: _Notes


class _FirstDocument(_AnyDocument):
    """A manifest of the first format, which has no checksum of its own."""

    format: Literal[1]


class _Document(_AnyDocument):
    """A manifest."""

    format: Literal[2]
    sha256: str


class Content(NamedTuple):
    """What a file shall hold: how many bytes, and them in pieces."""

    size: int
    pieces: Iterable[bytes]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a checkpoint consists of.

    Args:
        step: The number of finished steps.
        files: Of each file beside the manifest the size ("bytes") and the SHA-256 ("sha256").
        notes: What the training wants to find again.
    """

    step: int
    files: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, Any]

    def to_json(self) -> str:
        """Returns the manifest's text, with its checksum."""
        # What cannot be written as it is, such as NaN, is what the checksum is of, too.
        document = {"format": FORMAT} | dataclasses.asdict(self)
        document = json_files.parse(json_files.to_json(document, name=f"step-{self.step}.json"))
        document["sha256"] = _checksum(document)
        return json_files.to_json(document, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, step: int, source: str = "<string>") -> "Manifest":
        """Reads the manifest of a step; `source` is its file's name, for messages.

        Raises:
            ContentError: It is none, or has changed since it was written.
        """
        # Manifests of the first format may hold NaN, the score where nothing could be scored.
        document = json_files.parse(text, source, nan_as_null=True)
        is_first = isinstance(document, dict) and document.get("format") == 1
        json_files.check(document, _FirstDocument if is_first else _Document, source)
        if document["step"] != step:
            raise json_files.ContentError(source, "step", document["step"], f"expected {step}")
        files, notes = document["files"], document["notes"]
        for name in files:
            # A name with a folder in it could be any file.
            if not name.startswith(f"step-{step}.") or "/" in name or "\0" in name:
                raise json_files.ContentError(source, "files", name, f"expected step-{step}.*")
        if (notes.get("epoch") or {}).get("steps", 0) > step:
            raise json_files.ContentError(
                source, "notes.epoch.steps", notes["epoch"]["steps"], f"expected at most {step}"
            )
        received = document.pop("sha256", None)
        if not is_first and received != (expected := _checksum(document)):
            raise json_files.ContentError(
                source,
                "sha256",
                received,
                f"the manifest has changed since it was written: what it says has {expected}",
            )
        return cls(step, files, notes)


@dataclasses.dataclass(frozen=True)
class CheckpointFiles:
    """The checkpoints in a folder.

    Args:
        folder: Where they are; made when something is written to it.
        kept: How many of the newest are kept. The one with the best `SCORE` is kept beside them.
    """

    folder: Path
    kept: int = 3

    def prefix(self, step: int) -> Path:
        """Returns the path of a checkpoint, without what its files' names end with."""
        return self.folder / f"step-{step}"

    def steps(self) -> list[int]:
        """Returns the steps that have a manifest, oldest first."""
        names = ((_NAME.match(path.name), path.name) for path in _listed(self.folder))
        return sorted(int(n[1]) for n, name in names if n and name == f"step-{n[1]}.json")

    def read(self, step: int) -> Manifest:
        """Returns a manifest; whether the files are as it says is left to `verify`.

        Raises:
            UserError: It is unreadable, or no manifest.
        """
        path = self._manifest(step)
        return Manifest.from_json(json_files.read_text(path), step, f"{path}: is no manifest")

    def verify(self, step: int) -> Manifest:
        """Returns a manifest whose files are as it says: all are read.

        Raises:
            UserError: One is missing, torn or changed, or the manifest is.
        """
        manifest = self.read(step)
        for name, properties in manifest.files.items():
            path = self.folder / name
            try:
                with path.open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise UserError(f"{path}: cannot be read: {reason_of(error)}") from None
            if size != properties["bytes"]:
                raise UserError(
                    f"{path}: is torn: received {size:,} bytes; expected {properties['bytes']:,}"
                )
            if digest != properties["sha256"]:
                raise UserError(
                    f"{path}: has changed since it was written: received the SHA-256 {digest}; "
                    f"expected {properties['sha256']}"
                )
        return manifest

    def newest(self) -> tuple[Manifest | None, dict[int, str]]:
        """Returns the newest checkpoint that is whole, and what is wrong with each newer one."""
        damage: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                return self.verify(step), damage
            except UserError as error:
                damage[step] = str(error)
        return None, damage

    def best(self) -> Manifest | None:
        """Returns the checkpoint with the best score, of several the first; None if none has one.

        Its files are not read, see `verify`. A manifest that cannot be read is reported: its score
        is not known.
        """
        best = None
        for step in self.steps():
            try:
                manifest = self.read(step)
            except UserError as error:
                logging.warning("%s; whether it is the best checkpoint is not known", error)
                continue
            score = manifest.notes.get(SCORE)
            if score is None:
                continue
            if best is None or score > best.notes[SCORE]:
                best = manifest
        return best

    def write(self, step: int, contents: Mapping[str, Content], notes: Mapping[str, Any]) -> None:
        """Writes a checkpoint and drops those that are not kept.

        Args:
            step: The number of finished steps.
            contents: What a file's name ends with, such as ".index" -> what it shall hold.
            notes: What goes into the manifest; JSON.

        Raises:
            UserError: There is no room for it, or the file system refuses. The checkpoints that
                there are stay.
        """
        needed = sum(content.size for content in contents.values())
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.folder).free < needed:
                raise self._full(step, needed)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written: {reason_of(error)}") from error
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
            f"{self.folder}: step {step} cannot be saved: received {free:,} free bytes; expected "
            f"{needed:,}{kept}. Make room, then the same command continues"
        )


def _checksum(document: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of what a manifest says, however it is laid out."""
    return hashlib.sha256(json_files.to_json(document, sort_keys=True).encode()).hexdigest()


def _listed(folder: Path) -> list[Path]:
    """Returns the files in a folder; none where there is no folder."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_symlink() or not path.is_dir()]


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
