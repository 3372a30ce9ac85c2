"""NAME/VERSION/: the folders in which TensorFlow Serving looks for models."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auto_deeplab.foundations.errors import UserError, argument

SAVED_MODEL_FILE = "saved_model.pb"
# TensorFlow Serving looks at numbers only, so it never sees an unfinished folder.
_UNFINISHED = ".incomplete-"


def find_version(saved_model: str | os.PathLike) -> Path:
    """Returns the SavedModel folder for NAME/VERSION, or for NAME with its newest version.

    Raises:
        UserError: There is none.
    """
    folder = Path(saved_model)
    if (folder / SAVED_MODEL_FILE).is_file():
        return folder
    versions = list_versions(folder)
    if not versions:
        raise UserError(
            f"{folder}: holds neither {SAVED_MODEL_FILE} nor numbered versions; expected a "
            "SavedModel, or a folder of them as auto_deeplab.export writes it"
        )
    return folder / str(versions[-1])


def list_versions(folder: Path) -> list[int]:
    """Returns the numbers of the versions in a folder, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def check_free(output: Path, version: int | None) -> None:
    """Checks that `publish` could make a version.

    Raises:
        UserError: The version exists, or the folder is itself a SavedModel.
    """
    if (output / SAVED_MODEL_FILE).exists():
        raise UserError(
            f"{argument('output', output)}: is a SavedModel itself; expected a folder of numbered "
            "versions"
        )
    if version is not None and (output / str(version)).exists():
        raise UserError(
            f"{argument('version', version)}: {output / str(version)} exists; expected a number "
            f"that is free, or no {argument('version')}, which takes the next"
        )


@contextmanager
def unfinished(output: Path) -> Iterator[Path]:
    """Yields a new folder in the folder of versions, for what is to become one.

    It is locked and goes away at the end. A process that is killed leaves its folder and loses its
    lock; such folders are removed first.

    Raises:
        OSError: The file system refuses.
    """
    _sweep(output)
    while True:
        folder = Path(tempfile.mkdtemp(dir=output, prefix=_UNFINISHED))
        descriptor = _lock(folder, wait=True)
        # Another export may have swept it before it was locked.
        if folder.is_dir():
            break
        _unlock(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _unlock(descriptor)


def _sweep(output: Path) -> None:
    """Removes the unfinished folders that no process has locked."""
    for folder in output.glob(f"{_UNFINISHED}*"):
        descriptor = _lock(folder, wait=False)
        if descriptor is not None:
            shutil.rmtree(folder, ignore_errors=True)
            _unlock(descriptor)


def _lock(folder: Path, wait: bool) -> int | None:
    """Returns the descriptor of the folder, locked; None if it cannot be.

    Where a file system knows no locks nothing is locked, and so nothing is swept.
    """
    descriptor = None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        _unlock(descriptor)
        return None
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def publish(written: Path, output: Path, version: int | None = None) -> Path:
    """Moves a finished folder to its version, at once; one that exists is never replaced.

    Args:
        written: The folder, on the same file system.
        output: The folder of versions.
        version: The number; by default the next one.

    Returns:
        The folder of the version.

    Raises:
        UserError: The version exists.
    """
    while True:
        number = version or max(list_versions(output), default=0) + 1
        try:
            os.rename(written, output / str(number))
            return output / str(number)
        except OSError:
            # Another export took this number in between; a full folder is never replaced.
            if not (output / str(number)).exists():
                raise
            check_free(output, version)
