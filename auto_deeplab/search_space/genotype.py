"""A discrete architecture, and the file that carries it between commands."""

import json
import os
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError, argument, near_matches
from auto_deeplab.search_space.cell import MOST_BLOCKS, block_inputs
from auto_deeplab.search_space.operations import OPERATIONS
from auto_deeplab.search_space.presets import PRESETS
from auto_deeplab.search_space.trellis import (
    LARGEST_STRIDE,
    MOST_LAYERS,
    STEM,
    Arc,
    TrellisGraph,
    is_step,
    is_stride,
)

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
        name: What people call it.
        network: The stride of each layer; the stem before the first has stride 4, and each layer
            halves, keeps or doubles the stride.
        cell: The two branches of each block.
        provenance: Where it comes from, any JSON object, or None.

    Raises:
        GenotypeError: An argument breaks one of these rules.

    Example:
        >>> block = Branch("prev_prev", "skip"), Branch("prev", "sep_conv_3x3")
        >>> genotype = Genotype("two layers of one block", network=(4, 8), cell=(block,))
        >>> Genotype.from_json(genotype.to_json()) == genotype
        True
        >>> Genotype.load("published").network
        (4, 4, 4, 8, 16, 8, 16, 16, 32, 32, 16, 8)
    """

    name: str
    network: tuple[int, ...]
    cell: tuple[tuple[Branch, Branch], ...]
    provenance: dict[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise GenotypeError("name", self.name, "expected a text that is not empty")
        if not json_files.is_unicode(self.name):
            raise GenotypeError("name", self.name, "expected Unicode text")
        object.__setattr__(self, "network", _checked_network(self.network))
        object.__setattr__(self, "cell", _checked_cell(self.cell))
        object.__setattr__(self, "provenance", _checked_provenance(self.provenance))

    @classmethod
    def from_json(cls, text: str, source: str = "<string>") -> "Genotype":
        """Reads what `to_json` writes; `source` is the file's name for error messages.

        Raises:
            GenotypeError: The text is not JSON, or not a genotype of this format.
        """
        try:
            return cls._from_document(json_files.parse(text, source))
        except GenotypeError as error:
            raise error.at(source) from None
        except json_files.ContentError as error:
            raise GenotypeError(
                error.field or "file", error.received, error.expected, error.source
            ) from None

    @classmethod
    def _from_document(cls, document: Any) -> "Genotype":
        _check_keys(
            "file", document, required=("format", "name", "network", "cell"), known=("provenance",)
        )
        version = document["format"]
        if isinstance(version, bool) or version != FORMAT:
            raise GenotypeError("format", version, f"expected {FORMAT}")
        blocks = _checked_list("cell", document["cell"], "blocks", MOST_BLOCKS)
        cell: list[Any] = []
        for b, block in enumerate(blocks):
            branches = _checked_list(f"cell[{b}]", block, "branches")
            for i, branch in enumerate(branches):
                _check_keys(f"cell[{b}][{i}]", branch, required=("input", "op"))
            cell.append(tuple(Branch(branch["input"], branch["op"]) for branch in branches))
        return cls(
            document["name"],
            tuple(_checked_list("network", document["network"], "strides")),
            tuple(cell),
            document.get("provenance"),
        )

    def to_json(self) -> str:
        """Returns the text of a genotype.json: one line a block, one a field of the provenance."""
        dump = json_files.to_json
        blocks = [
            dump([{"input": branch.input, "op": branch.op} for branch in block])
            for block in self.cell
        ]
        lines = [
            f'{{"format": {FORMAT}, "name": {dump(self.name)},',
            f' "network": {dump(self.network)},',
            ' "cell": [' + ",\n          ".join(blocks) + "]",
        ]
        if self.provenance is not None:
            fields = [f"{dump(key)}: {dump(value)}" for key, value in self.provenance.items()]
            lines[-1] += ","
            lines.append(' "provenance": {' + ",\n                ".join(fields) + "}")
        return "\n".join(lines) + "}\n"

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Writes the genotype to a file, whole or not at all.

        Raises:
            UserError: The file exists and `overwrite` is not set, or it cannot be written.
        """
        if Path(path).exists() and not overwrite:
            raise UserError(
                f"{path}: exists already; expected a new name, or {argument('overwrite', True)}"
            )
        json_files.write_text(path, self.to_json())

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str]) -> "Genotype":
        """Returns a preset by its name (such as "published"), or reads a genotype file.

        Raises:
            GenotypeError: It is neither, or the file breaks a rule.
        """
        if name_or_path in PRESETS:
            return cls._from_document(PRESETS[name_or_path])
        path = Path(name_or_path)
        try:
            text = json_files.read_text(path)
        except json_files.ContentError as error:
            raise GenotypeError("file", error.received, error.expected, error.source) from None
        except json_files.UnreadableError as error:
            cause = error.__cause__
            if isinstance(cause, IsADirectoryError):
                expected = f"is a folder; expected a file such as {path / 'genotype.json'}"
            elif isinstance(cause, FileNotFoundError):
                near = near_matches(str(name_or_path), PRESETS)
                expected = f"is neither a file nor a preset{near}"
            else:
                expected = f"cannot be read ({getattr(cause, 'strerror', None) or cause})"
            raise GenotypeError("file", str(name_or_path), expected) from None
        return cls.from_json(text, source=str(path))


def path_arcs(genotype: Genotype) -> tuple[Arc, ...]:
    """Returns the arcs of the genotype's path, from the stem on."""
    strides = (STEM.stride, *genotype.network)
    return tuple(Arc(layer, strides[layer - 1], strides[layer]) for layer in range(1, len(strides)))


def path_arcs_within(genotype: Genotype, trellis: TrellisGraph) -> tuple[Arc, ...]:
    """Returns `path_arcs` of a genotype whose path has to be one of a trellis.

    Raises:
        UserError: It is none.
    """
    arcs = path_arcs(genotype)
    if len(genotype.network) != trellis.layers or not set(arcs) <= set(trellis.arcs):
        raise UserError(
            f"genotype: received {genotype.name!r} with the path {list(genotype.network)}; "
            f"expected one of {trellis.layers} layers with strides among {list(trellis.strides)}"
        )
    return arcs


def _check_keys(
    where: str, document: object, required: Sequence[str], known: Sequence[str] = ()
) -> None:
    keys = (*required, *known)
    if not isinstance(document, dict):
        raise GenotypeError(where, document, f"expected an object with {', '.join(keys)}")
    prefix = "" if where == "file" else f"{where}."
    for key, value in document.items():
        if key not in keys:
            field = prefix + json_files.field_path([key])
            raise GenotypeError(field, value, f"unknown key{near_matches(key, keys)}")
    for key in required:
        if key not in document:
            raise GenotypeError(f"{prefix}{key}", None, "the key is missing")


def _checked_list(where: str, value: object, what: str, most: int | None = None) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise GenotypeError(where, value, f"expected a list of {what}")
    if not value:
        raise GenotypeError(where, value, f"expected at least one of its {what}")
    if most is not None and len(value) > most:
        raise GenotypeError(where, value, f"expected at most {most} {what}, not {len(value):,}")
    return value


def _checked_network(network: object) -> tuple[int, ...]:
    strides = _checked_list("network", network, "strides", MOST_LAYERS)
    before = STEM.stride
    for i, stride in enumerate(strides):
        if not is_stride(stride):
            raise GenotypeError(
                f"network[{i}]", stride, f"expected a power of two, at most {LARGEST_STRIDE}"
            )
        if not is_step(before, stride):
            possible = [step for step in (before // 2, before, before * 2) if is_stride(step)]
            raise GenotypeError(
                f"network[{i}]",
                stride,
                f"expected one of {possible}, as {'the stem' if i == 0 else 'the layer before'} "
                f"has stride {before}",
            )
        before = stride
    return tuple(strides)


def _checked_cell(cell: object) -> tuple[tuple[Branch, Branch], ...]:
    checked = []
    for b, block in enumerate(_checked_list("cell", cell, "blocks", MOST_BLOCKS)):
        branches = _checked_list(f"cell[{b}]", block, "branches")
        if len(branches) != 2:
            raise GenotypeError(f"cell[{b}]", block, f"expected 2 branches, not {len(branches)}")
        left, right = (_checked_branch(b, i, branch) for i, branch in enumerate(branches))
        checked.append((left, right))
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
        text = json.dumps({"provenance": provenance}, allow_nan=False)
        checked: dict[str, Any] = json_files.parse(text, "provenance")["provenance"]
    except json_files.ContentError as error:
        raise GenotypeError(
            error.field or "provenance", error.received, f"expected JSON values ({error.expected})"
        ) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise GenotypeError("provenance", provenance, f"expected JSON values ({error})") from None
    return checked
