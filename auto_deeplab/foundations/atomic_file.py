"""Files that appear whole or not at all, so that an interruption leaves no half of one."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from auto_deeplab.foundations.errors import UserError, reason_of


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a name beside `path` to write to, which becomes `path` when the block ends well.

    Folders on the way are made. The temporary name keeps the suffix, which some writers read.

    Raises:
        UserError: `path` is no name of a file, or the file system refuses (the message names it).
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise UserError(f"{path}: received a folder; expected the name of a file")
    # Others may write the same file: threads, and processes of one number on several hosts.
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {reason_of(error)}") from error
