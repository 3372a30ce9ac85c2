"""Saving a training and going on from where it was."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from absl import logging

from auto_deeplab.distribution.workers import Workers
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.checkpoints.files import CheckpointFiles, Content, Manifest

# TensorFlow's file system within the process's memory.
_MEMORY = "ram://"
_PIECE = 2**24
# What TensorFlow raises for a checkpoint of another model.
_MISFITS = (AssertionError, IndexError, ValueError, tf.errors.OpError)


class NotFiniteError(ArithmeticError):
    """A training has diverged: a loss, or what is to be saved, is NaN or infinite.

    Args:
        message: What is, and where.
        loss: The name of the loss to look at.
    """

    def __init__(self, message: str, loss: str = "loss"):
        super().__init__(message)
        self.loss = loss


class Checkpoints:
    """Saves weights and optimizers in the background; restores the newest that is whole.

    The number of finished steps is the optimizer's `iterations`; with it the input position and
    every random number are known.

    `save` copies the values into memory and returns; a thread writes them to the disk. There is
    one write at a time: the next `save` waits for it. What went wrong in it is raised by the next
    call.

    It is made in the scope of the distribution strategy. Several workers call `restore` and `save`
    together: statistics that each replica has of its own are averaged over all of them. The first
    worker writes, and chooses what is restored.

    Args:
        model_dir: Where to save.
        every_seconds: How much work an interruption may cost at the most.
        kept: How many of the newest checkpoints are kept; the best is kept beside them.
        tracked: The model and the optimizers; the one called `optimizer` counts the steps.
    """

    def __init__(self, model_dir: ModelDir, every_seconds: float, kept: int = 3, **tracked):
        if kept < 1:
            raise UserError(f"kept_checkpoints: received {kept}; expected at least 1")
        self._steps = tracked["optimizer"].iterations
        self._checkpoint = tf.train.Checkpoint(**tracked)
        self._variables = [
            variable
            for value in tracked.values()
            for variable in value.weights
            if variable.dtype.is_floating
        ]
        self._own_statistics = [
            variable
            for variable in self._variables
            if variable.synchronization == tf.VariableSynchronization.ON_READ
        ]
        self._files = CheckpointFiles(model_dir.checkpoints, kept)
        self._workers = Workers(tf.distribute.get_strategy())
        self._every_seconds = every_seconds
        self._saved_at = time.monotonic()
        self._saved: tuple[int, Mapping[str, Any]] | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._write: Future | None = None

    def restore(self) -> Mapping[str, Any]:
        """Loads the newest checkpoint that is whole, if there is one; returns its notes.

        Newer ones that are not whole are reported and removed: the training will make them again.

        Raises:
            UserError: There are checkpoints, but none is whole, or it is of another model.
        """
        self.wait()
        manifest = self._newest()
        if manifest is None:
            if tf.train.latest_checkpoint(str(self._files.folder)):
                raise UserError(
                    f"{self._files.folder}: its checkpoints have no manifests (step-*.json), as "
                    "an earlier version wrote them; continue with that version, which "
                    f"sessions.jsonl names, or start in another {argument('model_dir')}"
                )
            return {}
        prefix = str(self._files.prefix(manifest.step))
        with _explaining_misfits(prefix):
            self._checkpoint.read(prefix).assert_existing_objects_matched()
        if self._workers.is_chief:
            for step in self._files.steps():
                if step > manifest.step:
                    self._files.discard(step)
        self._saved = (manifest.step, manifest.notes)
        return manifest.notes

    @property
    def finished_steps(self) -> int:
        """How many updates of the weights have been made."""
        return int(self._steps.numpy())

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough for another."""
        return time.monotonic() - self._saved_at > self._every_seconds

    def save(self, notes: Mapping[str, Any] | None = None) -> None:
        """Saves the present step; of a step that is saved already the notes alone.

        Args:
            notes: What `restore` returns; JSON.

        Raises:
            NotFiniteError: A value is NaN or infinite. Nothing is saved then.
            UserError: The write before this one failed.
        """
        step, notes = self.finished_steps, dict(notes or {})
        if self._saved == (step, notes):
            return
        self.wait()
        if self._saved is None or self._saved[0] != step:
            self._share_statistics()
            self._check_values()
            prefix = self._to_memory(step)
            self._write = self._writer.submit(self._store, step, prefix, notes)
        elif self._workers.is_chief:
            self._write = self._writer.submit(self._files.note, step, notes)
        self._saved = (step, notes)
        self._saved_at = time.monotonic()

    def check(self) -> None:
        """Raises what went wrong in the last write, if it has ended; does not wait for it."""
        if self._write is not None and self._write.done():
            self.wait()

    def wait(self) -> None:
        """Returns when everything is on the disk.

        Raises:
            UserError: It could not be written.
        """
        write, self._write = self._write, None
        if write is not None:
            write.result()

    def _newest(self) -> Manifest | None:
        """Returns the newest checkpoint that is whole: the first worker's, on all workers."""
        if self._workers.is_chief:
            manifest = newest_checkpoint(self._files)
            self._workers.of_chief(-1 if manifest is None else manifest.step)
            return manifest
        step = self._workers.of_chief(-1)
        return None if step < 0 else self._files.verify(step)

    def _share_statistics(self) -> None:
        """Gives each replica the mean of all replicas' statistics, which is what is saved.

        So what goes on from here is what would go on from the checkpoint; and replicas may read
        their own, as prediction does.
        """
        if self._workers.count * self._workers.replicas > 1:
            for variable in self._own_statistics:
                variable.assign(variable.read_value())

    def _check_values(self) -> None:
        names = [
            variable.name
            for variable in self._variables
            if not np.isfinite(variable.numpy().astype(np.float32)).all()
        ]
        if names:
            raise NotFiniteError(
                f"step {self.finished_steps}: {len(names)} of {len(self._variables)} variables are "
                "not finite, such as " + ", ".join(names[:3])
            )

    def _to_memory(self, step: int) -> str:
        """Returns the prefix of a checkpoint within memory."""
        return self._checkpoint.write(f"{_MEMORY}{id(self)}/step-{step}")

    def _store(self, step: int, prefix: str, notes: Mapping[str, Any]) -> None:
        """Moves a checkpoint from memory to the disk; but for the first worker, out of memory."""
        sources = tf.io.gfile.glob(f"{prefix}.*")
        try:
            if not self._workers.is_chief:
                return
            contents = {
                source.removeprefix(prefix): Content(
                    tf.io.gfile.stat(source).length, _pieces(source)
                )
                for source in sources
            }
            self._files.write(step, contents, notes)
        finally:
            for source in sources:
                tf.io.gfile.remove(source)


def newest_checkpoint(files: CheckpointFiles) -> Manifest | None:
    """Returns the newest checkpoint that is whole, None if there is none at all.

    What is wrong with newer ones is logged.

    Raises:
        UserError: There are checkpoints, but none is whole.
    """
    manifest, damage = files.newest()
    reasons = "\n".join(damage.values())
    if damage:
        if manifest is None:
            raise UserError(
                f"{files.folder}: no checkpoint is whole:\n{reasons}\n"
                "Remove the folder to start again, or bring back its files"
            )
        logging.warning(
            "%s\ngoing back to the checkpoint of step %d, which is whole", reasons, manifest.step
        )
    return manifest


def load_weights(model: tf_keras.Model, model_dir: ModelDir, which: str = "latest") -> int:
    """Loads a trained model's weights alone; returns the step that they are from.

    Args:
        model: What to load into.
        model_dir: The training's folder.
        which: "latest", or "best" for the checkpoint with the best validation mIOU of all.

    Raises:
        UserError: There is no checkpoint, or it does not fit the model.
    """
    if which not in ("latest", "best"):
        raise UserError(f"checkpoint: received {which!r}; expected 'latest' or 'best'")
    files = CheckpointFiles(model_dir.checkpoints)
    if which == "best":
        best = files.best()
        manifest = best and files.verify(best.step)
    else:
        manifest = newest_checkpoint(files)
    if manifest is not None:
        prefix, step = str(files.prefix(manifest.step)), manifest.step
    elif which == "latest" and (prefix := tf.train.latest_checkpoint(str(files.folder))):
        logging.warning("%s: has no manifest: an earlier version wrote it", prefix)
        step = int(prefix.rsplit("-", 1)[1])
    else:
        raise UserError(
            f"{files.folder}: holds no checkpoint"
            + (" that was validated" if which == "best" else "")
            + f"; expected the {argument('model_dir')} of a training that has saved at least one"
        )
    with _explaining_misfits(prefix):
        checkpoint = tf.train.Checkpoint(model=model)
        checkpoint.read(prefix).assert_existing_objects_matched().expect_partial()
    return step


@contextmanager
def _explaining_misfits(prefix: str) -> Iterator[None]:
    try:
        yield
    except _MISFITS as error:
        raise UserError(f"{prefix}: does not fit the model that is configured: {error}") from None


def _pieces(path: str) -> Iterator[bytes]:
    with tf.io.gfile.GFile(path, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece
