"""A discrete architecture, and the file that carries it between commands."""

import json
import os
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from auto_deeplab.atomic_file import replacing
from auto_deeplab.command_line import near_matches
from auto_deeplab.errors import UserError
from auto_deeplab.search_space.cell import block_inputs
from auto_deeplab.search_space.operations import OPERATIONS
from auto_deeplab.search_space.presets import PRESETS
from auto_deeplab.search_space.trellis import STEM, is_step, is_stride

FORMAT = 1
"""The version of the file format that this code writes and reads."""


class GenotypeError(UserError):
    """A genotype breaks a rule. The message names the file, the field, its value and the rule."""

    def __init__(self, field: str, received: object, expected: str, source: str = "genotype"):
        super().__init__(f"{source}: {field}: received {reprlib.repr(received)}; {expected}")
        self.field = field
        self.received = received
        self.expected = expected

    def at(self, source: str) -> "GenotypeError":
        """Returns the same error with the file's name in its message."""
        return GenotypeError(self.field, self.received, self.expected, source)


class Branch(NamedTuple):
    """One of a block's two branches: what it reads and the operation that it applies."""

    input: str
    op: str


@dataclass(frozen=True)
class Genotype:
    """A path through the trellis and a cell.

    Args:
      name: what people call it.
      network: the stride of each layer; the stem before the first has stride 4, and each layer
        halves, keeps or doubles the stride.
      cell: the two branches of each block.
      provenance: where it comes from, any JSON object, or None.

    Raises:
      GenotypeError: an argument breaks one of these rules.
    """

    name: str
    network: tuple[int, ...]
    cell: tuple[tuple[Branch, Branch], ...]
    provenance: dict[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise GenotypeError("name", self.name, "expected a text that is not empty")
        object.__setattr__(self, "network", _checked_network(self.network))
        object.__setattr__(self, "cell", _checked_cell(self.cell))
        object.__setattr__(self, "provenance", _checked_provenance(self.provenance))

    @classmethod
    def from_json(cls, text: str, source: str = "<string>") -> "Genotype":
        """Reads what `to_json` writes; `source` is the file's name for error messages.

        Raises:
          GenotypeError: the text is not JSON, or not a genotype of this format.
        """
        try:
            document = json.loads(
                text, object_pairs_hook=_object_without_duplicates, parse_constant=_no_constants
            )
            return cls._from_document(document)
        except GenotypeError as error:
            raise error.at(source) from None
        except (ValueError, RecursionError) as error:
            raise GenotypeError("file", text, f"expected JSON ({error})", source) from None

    @classmethod
    def _from_document(cls, document: object) -> "Genotype":
        _check_keys(
            "file", document, required=("format", "name", "network", "cell"), known=("provenance",)
        )
        version = document["format"]
        if isinstance(version, bool) or version != FORMAT:
            raise GenotypeError("format", version, f"expected {FORMAT}")
        blocks = _checked_list("cell", document["cell"], "blocks")
        cell = []
        for b, block in enumerate(blocks):
            branches = _checked_list(f"cell[{b}]", block, "branches")
            for i, branch in enumerate(branches):
                _check_keys(f"cell[{b}][{i}]", branch, required=("input", "op"))
            cell.append([Branch(branch["input"], branch["op"]) for branch in branches])
        return cls(
            document["name"],
            _checked_list("network", document["network"], "strides"),
            cell,
            document.get("provenance"),
        )

    def to_json(self) -> str:
        """Returns the text of a genotype.json: one line a block, one a field of the provenance."""
        blocks = [
            json.dumps([{"input": branch.input, "op": branch.op} for branch in block])
            for block in self.cell
        ]
        lines = [
            f'{{"format": {FORMAT}, "name": {json.dumps(self.name)},',
            f' "network": {json.dumps(list(self.network))},',
            ' "cell": [' + ",\n          ".join(blocks) + "]",
        ]
        if self.provenance is not None:
            fields = [
                f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}"
                for key, value in self.provenance.items()
            ]
            lines[-1] += ","
            lines.append(' "provenance": {' + ",\n                ".join(fields) + "}")
        return "\n".join(lines) + "}\n"

    def save(self, path: str | os.PathLike, overwrite: bool = False) -> None:
        """Writes the genotype to a file, whole or not at all.

        Raises:
          UserError: the file exists and `overwrite` is not set, or it cannot be written.
        """
        if Path(path).exists() and not overwrite:
            raise UserError(f"{path}: exists already; expected a new name, or --overwrite")
        with replacing(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, name_or_path: str | os.PathLike) -> "Genotype":
        """Returns a preset by its name (such as "published"), or reads a genotype file.

        Raises:
          GenotypeError: it is neither, or the file breaks a rule.
        """
        if name_or_path in PRESETS:
            return cls._from_document(PRESETS[name_or_path])
        path = Path(name_or_path)
        if path.is_dir():
            raise GenotypeError(
                "file", str(path), f"is a folder; expected a file such as {path / 'genotype.json'}"
            )
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise GenotypeError(
                "file",
                str(name_or_path),
                f"is neither a file nor a preset{near_matches(str(name_or_path), PRESETS)}",
            ) from None
        except UnicodeDecodeError as error:
            raise GenotypeError("file", error.reason, "expected UTF-8 text", str(path)) from None
        except OSError as error:
            raise GenotypeError("file", error.strerror, "cannot be read", str(path)) from None
        return cls.from_json(text, source=str(path))


def _object_without_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise GenotypeError(key, value, "the key appears twice in one object")
        document[key] = value
    return document


def _no_constants(constant: str) -> None:
    raise GenotypeError("number", constant, "expected finite numbers")


def _check_keys(
    where: str, document: object, required: Sequence[str], known: Sequence[str] = ()
) -> None:
    keys = (*required, *known)
    if not isinstance(document, dict):
        raise GenotypeError(where, document, f"expected an object with {', '.join(keys)}")
    prefix = "" if where == "file" else f"{where}."
    for key, value in document.items():
        if key not in keys:
            raise GenotypeError(f"{prefix}{key}", value, f"unknown key{near_matches(key, keys)}")
    for key in required:
        if key not in document:
            raise GenotypeError(f"{prefix}{key}", None, "the key is missing")


def _checked_list(where: str, value: object, what: str) -> list | tuple:
    if not isinstance(value, list | tuple):
        raise GenotypeError(where, value, f"expected a list of {what}")
    if not value:
        raise GenotypeError(where, value, f"expected at least one of its {what}")
    return value


def _checked_network(network: object) -> tuple[int, ...]:
    before = STEM.stride
    for i, stride in enumerate(_checked_list("network", network, "strides")):
        if not is_stride(stride):
            raise GenotypeError(f"network[{i}]", stride, "expected a power of two")
        if not is_step(before, stride):
            possible = [step for step in (before // 2, before, before * 2) if step]
            raise GenotypeError(
                f"network[{i}]",
                stride,
                f"expected one of {possible}, as {'the stem' if i == 0 else 'the layer before'} "
                f"has stride {before}",
            )
        before = stride
    return tuple(network)


def _checked_cell(cell: object) -> tuple[tuple[Branch, Branch], ...]:
    checked = []
    for b, block in enumerate(_checked_list("cell", cell, "blocks")):
        branches = _checked_list(f"cell[{b}]", block, "branches")
        if len(branches) != 2:
            raise GenotypeError(f"cell[{b}]", block, f"expected 2 branches, not {len(branches)}")
        checked.append(tuple(_checked_branch(b, i, branch) for i, branch in enumerate(branches)))
    return tuple(checked)


def _checked_branch(block: int, i: int, branch: object) -> Branch:
    where = f"cell[{block}][{i}]"
    if not isinstance(branch, list | tuple) or len(branch) != 2:
        raise GenotypeError(where, branch, "expected an input and an operation")
    branch = Branch(*branch)
    fields = (("input", branch.input, block_inputs(block + 1)), ("op", branch.op, OPERATIONS))
    for key, value, allowed in fields:
        if not isinstance(value, str) or value not in allowed:
            raise GenotypeError(f"{where}.{key}", value, f"expected one of {', '.join(allowed)}")
    return branch


def _checked_provenance(provenance: object) -> dict[str, Any] | None:
    if provenance is None:
        return None
    if not isinstance(provenance, dict):
        raise GenotypeError("provenance", provenance, "expected an object")
    try:
        # Through JSON and back, so that a saved genotype equals the one that is read again.
        return json.loads(json.dumps(provenance, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise GenotypeError("provenance", provenance, f"expected JSON values ({error})") from None
