"""Architectures that take part whatever is drawn, and the files that they are read from."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.runs.model_dir import GENOTYPE_NAME
from auto_deeplab.runs.selection import Origin
from auto_deeplab.search_space import PRESETS, Genotype


class Given(NamedTuple):
    """An architecture that takes part whatever is drawn.

    Attributes:
        genotype: The architecture.
        origin: Where it comes from.
        source: More of that, see `Candidate`.
    """

    genotype: Genotype
    origin: Origin
    source: str


def load_given(paths: Sequence[str]) -> list[Given]:
    """Returns the architectures of files, or of folders with a genotype.json, or folders of those.

    Args:
        paths: Names of presets, files, model_dirs, and folders such as `trials` writes.

    Raises:
        UserError: A path is none of these, or a file is no genotype.
    """
    return [
        Given(Genotype.load(file), "given", str(file)) for path in paths for file in _files(path)
    ]


def _files(path: str) -> list[str]:
    if path in PRESETS or not os.path.isdir(path):
        return [path]
    folder = Path(path)
    found = [folder / GENOTYPE_NAME]
    if not found[0].is_file():
        found = sorted(folder.glob(f"*/{GENOTYPE_NAME}"))
    # What random_search writes.
    found = found or sorted(folder.glob("*.json"))
    if not found:
        raise UserError(
            f"{argument('genotypes')}: received {path}; expected a folder with a {GENOTYPE_NAME}, "
            "folders of such, or genotype files"
        )
    return [str(file) for file in found]
