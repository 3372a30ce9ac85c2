"""The searched values, alpha and beta, with the space they live in, and their history file."""

import os
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from auto_deeplab.command_line import near_matches
from auto_deeplab.errors import UserError
from auto_deeplab.foundations import json_files
from auto_deeplab.search_space.cell import CellGraph
from auto_deeplab.search_space.decoding import (
    arc_log_weights,
    checked_values,
    decode_cell,
    decode_network,
    log_softmax,
)
from auto_deeplab.search_space.genotype import Genotype
from auto_deeplab.search_space.trellis import TrellisGraph


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The continuous architecture (the paper's section 4.1).

    Args:
      cell: the cell's graph.
      trellis: the network's graph.
      alpha: [edges, operations], before the softmax; kept as float64 that cannot be written to.
      beta: [arcs], before the softmax; kept likewise.

    Raises:
      UserError: alpha or beta has another shape, or is not finite.
    """

    cell: CellGraph
    trellis: TrellisGraph
    alpha: np.ndarray
    beta: np.ndarray

    def __post_init__(self) -> None:
        shapes = {
            "alpha": (len(self.cell.edges), len(self.cell.operations)),
            "beta": (len(self.trellis.arcs),),
        }
        for name, shape in shapes.items():
            values = checked_values(name, getattr(self, name), shape).copy()
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def operation_weights(self) -> np.ndarray:
        """Returns softmax(alpha): float64 [edges, operations], each row sums to 1."""
        return np.exp(log_softmax(self.alpha))

    def arc_weights(self) -> np.ndarray:
        """Returns softmax(beta): float64 [arcs]; the arcs that leave one node sum to 1."""
        return np.exp(arc_log_weights(self.beta, self.trellis))

    def decode(self, name: str, provenance: dict[str, Any] | None = None) -> Genotype:
        """Returns the discrete architecture that these values stand for."""
        return Genotype(
            name,
            decode_network(self.beta, self.trellis),
            decode_cell(self.alpha, self.cell),
            provenance,
        )

    def to_json_dict(self) -> dict[str, Any]:
        """Returns the values and their space as JSON values; reading them back is exact."""
        return {
            "blocks": self.cell.blocks,
            "operations": list(self.cell.operations),
            "layers": self.trellis.layers,
            "strides": list(self.trellis.strides),
            "alpha": self.alpha.tolist(),
            "beta": self.beta.tolist(),
        }

    @classmethod
    def from_json_dict(cls, document: dict[str, Any], source: str = "<dict>") -> "Relaxation":
        """Reads what `to_json_dict` returns; `source` is the file's name for error messages.

        Raises:
          UserError: a key is missing or unknown, or a value is wrong.
        """
        keys = ("blocks", "operations", "layers", "strides", "alpha", "beta")
        if not isinstance(document, dict):
            raise UserError(f"{source}: expected an object with {', '.join(keys)}")
        for key in keys:
            if key not in document:
                raise UserError(f"{source}: {key}: the key is missing")
        for key in document:
            if key not in keys:
                field = json_files.field_path([key])
                raise UserError(f"{source}: {field}: unknown key{near_matches(key, keys)}")
        for name in ("alpha", "beta"):
            _check_numbers(document[name], f"{source}: {name}")
        try:
            return cls(
                CellGraph(document["blocks"], document["operations"]),
                TrellisGraph(document["layers"], document["strides"]),
                document["alpha"],
                document["beta"],
            )
        except UserError as error:
            raise UserError(f"{source}: {error}") from None


def _check_numbers(values: object, field: str) -> None:
    """Checks that a JSON value is a list of numbers, or of such lists.

    NumPy would take "0.5" and true for numbers, too.
    """
    if not isinstance(values, list):
        raise UserError(f"{field}: expected numbers in a list, received {reprlib.repr(values)}")
    for index, value in enumerate(values):
        if isinstance(value, list):
            _check_numbers(value, f"{field}[{index}]")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{field}[{index}]: received {reprlib.repr(value)}; expected a number")


class HistoryEntry(NamedTuple):
    """What a search had found at the end of an epoch, after `step` steps in all."""

    epoch: int
    step: int
    relaxation: Relaxation


def read_history(path: str | os.PathLike) -> list[HistoryEntry]:
    """Reads an architecture.jsonl: one line an epoch, ordered by epoch.

    A last line that an interrupted write left unfinished is not read. An epoch that was repeated
    after an interruption counts once, as it was last.

    Raises:
      UserError: the file does not exist, or a line is wrong (the message has its number).
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


def append_history(path: str | os.PathLike, epoch: int, step: int, relaxation: Relaxation) -> None:
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
