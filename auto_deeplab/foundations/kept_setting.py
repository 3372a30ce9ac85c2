"""What all results of a folder have in common, kept beside them: no other ones join them."""

import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError, argument


def keep_setting(path: str | os.PathLike[str], setting: Mapping[str, Any], folder: str) -> None:
    """Keeps a setting, or compares it with what is kept.

    Args:
        path: The file; it is written if it is not there.
        setting: JSON values by name. An object among them is compared name by name, too.
        folder: The argument that names the folder, for messages.

    Raises:
        UserError: Another setting is kept; the message names the first value that differs.
    """
    if not Path(path).exists():
        json_files.write(path, setting)
        return
    kept = json_files.read(path)
    _compare(kept, json_files.parse(json_files.to_json(setting)), (), str(path), folder)


def _compare(kept: Any, asked: Any, names: tuple[str, ...], path: str, folder: str) -> None:
    if isinstance(kept, dict) and isinstance(asked, dict):
        for name in {**kept, **asked}:
            _compare(kept.get(name), asked.get(name), (*names, name), path, folder)
    elif kept != asked:
        raise UserError(
            f"{path}: {json_files.field_path(names)}: received {reprlib.repr(asked)}, but the "
            f"results beside it were made with {reprlib.repr(kept)}; expected the same, or another "
            f"{argument(folder)}"
        )
