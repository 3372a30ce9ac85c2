"""The history of a search, architecture.jsonl: alpha and beta at the end of each epoch."""

import os
import reprlib
from pathlib import Path
from typing import NamedTuple

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space.relaxation import Relaxation


class HistoryEntry(NamedTuple):
    """What a search had found at the end of an epoch, after `step` steps in all."""

    epoch: int
    step: int
    relaxation: Relaxation


def read_history(path: str | os.PathLike[str]) -> list[HistoryEntry]:
    """Reads an architecture.jsonl: one line an epoch, ordered by epoch.

    A last line that an interrupted write left unfinished is not read. An epoch that was repeated
    after an interruption counts once, as it was last.

    Raises:
        UserError: The file does not exist, or a line is wrong (the message has its number).
    """
    path = Path(path)
    if not path.exists():
        raise UserError(
            f"{path}: no such file; expected the history that a search writes after each epoch"
        )
    entries: dict[int, HistoryEntry] = {}
    for source, document in json_files.read_lines(path, may_be_torn=True):
        if not isinstance(document, dict):
            raise UserError(f"{source}: received {reprlib.repr(document)}; expected an object")
        for key in ("epoch", "step"):
            value = document.get(key)
            if type(value) is not int or not 0 <= value <= json_files.LARGEST_INTEGER:
                raise UserError(
                    f"{source}: {key}: received {reprlib.repr(value)}; expected an integer >= 0"
                )
        epoch, step = document.pop("epoch"), document.pop("step")
        entries[epoch] = HistoryEntry(
            epoch, step, Relaxation.from_json_dict(document, source=source)
        )
    return [entries[epoch] for epoch in sorted(entries)]


def append_history(
    path: str | os.PathLike[str], epoch: int, step: int, relaxation: Relaxation
) -> None:
    """Adds an epoch to an architecture.jsonl, and removes what an interrupted run left behind.

    That is an unfinished last line, and this epoch and later ones where a run goes on from a
    checkpoint that is older than the file. The file changes whole or not at all.
    """
    path = Path(path)
    earlier = (
        [entry for entry in read_history(path) if entry.epoch < epoch] if path.exists() else []
    )
    json_files.write_lines(
        path,
        [
            {"epoch": entry.epoch, "step": entry.step} | entry.relaxation.to_json_dict()
            for entry in (*earlier, HistoryEntry(epoch, step, relaxation))
        ],
    )
