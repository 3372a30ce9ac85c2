"""Files as people name them and nest them: linked folders, hidden ones, names in any encoding."""

import os
import re
from pathlib import Path

from auto_deeplab.foundations.errors import reason_of


def files_below(
    folder: str | os.PathLike[str], levels: int | None = None
) -> tuple[list[Path], dict[Path, str]]:
    """Finds the files in a folder and in all folders below it, linked ones included.

    What is hidden (a name below `folder` that begins with a dot) is left alone. A link to a folder
    that the link itself is in leads nowhere new, and is not followed.

    Args:
        folder: Where to look.
        levels: How deep; 1 looks into `folder` alone, None into all below it.

    Returns:
        The files, sorted. And what is neither a file nor a folder that can be listed, such as a
        link to nothing, with the reason.
    """
    files: list[Path] = []
    unusable: dict[Path, str] = {}
    # Folders to list, each with the identities of those that it is in.
    waiting: list[tuple[Path, tuple[tuple[int, int], ...]]] = [(Path(folder), ())]
    while waiting:
        here, above = waiting.pop()
        try:
            state = here.stat()
            identity = state.st_dev, state.st_ino
            if identity in above:
                continue
            with os.scandir(here) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            unusable[here] = f"cannot be listed: {reason_of(error)}"
            continue
        for path in (here / name for name in names):
            if path.is_file():
                files.append(path)
            elif path.is_dir():
                if levels is None or len(above) + 1 < levels:
                    waiting.append((path, (*above, identity)))
            elif path.is_symlink() and not path.exists():
                unusable[path] = f"a link to {os.readlink(path)}, which does not exist"
            else:
                unusable[path] = "neither a file nor a folder"
    return sorted(files), dict(sorted(unusable.items()))


def utf8_text(text: str) -> str:
    r"""Returns a text that every reader of UTF-8 can read: what is not is written as in "\xe9".

    Names of files are bytes. Python keeps those that are no UTF-8 as lone surrogates, which neither
    a file in UTF-8 nor a terminal takes.
    """
    escaped = re.sub("[\udc80-\udcff]", lambda found: rf"\x{ord(found[0]) - 0xDC00:02x}", text)
    return escaped.encode("utf-8", "backslashreplace").decode()
