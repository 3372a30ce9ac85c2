r"""Draws architectures at random: the baseline that a search has to beat.

Each architecture that a search could have found is as likely as any other. As large networks tend
to do better, compare with random ones of like size: --parameters and --multiply_adds keep only
those within a band, and these uniformly.

  python -m auto_deeplab.random_search --like=runs/search/genotype.json --count=5 \
      --filters=8 --parameters=2M-3M --output_dir=runs/random
  python -m auto_deeplab.train --gin_file=retrain.gin --model_dir=runs/random_1 \
      --gin_param="Retrain.genotype='runs/random/random_1.json'"

The space is that of the paper, or the one that the architecture of --like was searched in. A band
makes it build each network that is drawn, which takes some seconds; `summary` tells the size of one
network, counted in the same way. The same command again goes on where it stopped and keeps what is
there; a larger --count adds to it.
"""

import dataclasses
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError

if TYPE_CHECKING:
    from auto_deeplab.search_space import CellGraph, Genotype, TrellisGraph
    from auto_deeplab.selection.costs import Band, Counter

_OUTPUT_DIR = command_line.define_path(
    "output_dir", None, "The folder for random_1.json, random_2.json, ...", required=True
)
_COUNT = flags.DEFINE_integer("count", 5, "How many architectures.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the draws.", lower_bound=0)
_LIKE = command_line.define_path(
    "like", None, "An architecture, file or known name, whose search space to draw from."
)
_PARAMETERS = flags.DEFINE_string(
    "parameters", None, "The band LEAST-MOST of trainable parameters, such as 9.5M-10.5M."
)
_MULTIPLY_ADDS = flags.DEFINE_string(
    "multiply_adds", None, "The band LEAST-MOST of multiply-adds, such as 300B-350B."
)
_FILTERS = flags.DEFINE_integer("filters", 20, "The width F at which to count.")
_CLASSES = flags.DEFINE_integer("classes", 19, "The number of classes with which to count.")
_IMAGE_SIZE = flags.DEFINE_string(
    "image_size", "1025x2049", "The image's HEIGHTxWIDTH for the multiply-adds."
)
_MOST_DRAWS = flags.DEFINE_integer(
    "most_draws", 1000, "Give up when this many draws in a row miss a band.", lower_bound=1
)


def main(argv: list[str]) -> None:
    del argv
    flags_of_bands = {"parameters": _PARAMETERS.value, "multiply_adds": _MULTIPLY_ADDS.value}
    bands = {
        name: _parse_band(name, text) for name, text in flags_of_bands.items() if text is not None
    }
    image_size = command_line.parse_size(_IMAGE_SIZE.value)

    search_space = _search_space()

    from tqdm import tqdm

    folder, count = Path(_OUTPUT_DIR.value), _COUNT.value
    counter = _counter(bands, image_size) if bands else None
    written = 0
    with tqdm(desc="draws", unit="network", disable=not bands) as bar:
        draws = _Draws(*search_space, counter, on_draw=bar.update)
        for index in range(1, count + 1):
            path = folder / f"random_{index}.json"
            if path.exists():
                draws.go_on_after(path)
            else:
                draws.next_within_bands(path.stem).save(path)
                written += 1
                bar.set_postfix(found=index)
    kept = count - written
    print(f"{written} written to {folder}" + (f", {kept} there before" if kept else ""))


def _search_space() -> tuple["CellGraph", "TrellisGraph"]:
    """Returns the paper's search space, or that of --like.

    Raises:
        UserError: The architecture of --like does not tell its own.
    """
    from auto_deeplab.search_space import CellGraph, Genotype, TrellisGraph, searched_relaxation

    if _LIKE.value is None:
        return CellGraph(), TrellisGraph()
    relaxation = searched_relaxation(Genotype.load(_LIKE.value), _LIKE.value)
    if relaxation is None:
        raise UserError(
            f"--like: {_LIKE.value} does not tell a search space; expected what a search "
            "found, or no --like for the paper's space"
        )
    return relaxation.cell, relaxation.trellis


def _counter(bands: Mapping[str, "Band"], image_size: tuple[int, int]) -> "Counter":
    """Returns what counts networks, as far as it matters to the bands."""
    from auto_deeplab.models.final.network import build_network
    from auto_deeplab.selection.costs import COSTS, Counter

    return Counter(
        lambda genotype: build_network(genotype, _CLASSES.value, filters=_FILTERS.value),
        image_size,
        bands,
        COSTS if "multiply_adds" in bands else COSTS[:1],
    )


class _Draws:
    """The numbered draws of --seed, of which those outside of the bands are left out.

    Args:
        cell: The cells to draw from.
        trellis: The paths to draw from.
        counter: Counts networks, and knows the bands; None where there is none.
        on_draw: Called at each draw.
    """

    def __init__(
        self,
        cell: "CellGraph",
        trellis: "TrellisGraph",
        counter: "Counter | None",
        on_draw: Callable[[], Any],
    ) -> None:
        from auto_deeplab.search_space import space_values

        self._cell, self._trellis = cell, trellis
        self._counter = counter
        self._on_draw = on_draw
        self._number = 0
        self._settings = {"seed": _SEED.value, **space_values(cell, trellis)}
        if counter is not None:
            self._settings |= {
                "bands": {name: list(band) for name, band in counter.bands.items()},
                "filters": _FILTERS.value,
                "classes": _CLASSES.value,
                "image_size": list(counter.image_size),
            }

    def go_on_after(self, path: Path) -> None:
        """Makes the next draw the one after that of a file.

        Raises:
            UserError: The file holds none, or one with other settings.
        """
        self._number = _number_of(path, self._settings)

    def next_within_bands(self, name: str) -> "Genotype":
        """Returns the next draw that is within the bands.

        Raises:
            UserError: --most_draws in a row are not.
        """
        from auto_deeplab.search_space import numbered_draw

        missed: list[dict[str, int]] = []
        while len(missed) < _MOST_DRAWS.value:
            self._number += 1
            self._on_draw()
            genotype = numbered_draw(name, self._cell, self._trellis, _SEED.value, self._number)
            costs = self._counter.count(genotype) if self._counter else {}
            if self._counter is None or self._counter.are_within(costs):
                provenance = {"random_search": self._settings, "draw": self._number, **costs}
                return dataclasses.replace(genotype, provenance=provenance)
            missed.append(costs)
        told = self._counter.missed(missed) if self._counter else ""
        raise UserError(f"{len(missed)} draws in a row missed. {told}")


def _number_of(path: Path, settings: Mapping[str, Any]) -> int:
    """Returns which draw a file holds.

    Raises:
        UserError: It is none, or one with other settings.
    """
    from auto_deeplab.search_space import Genotype

    provenance = Genotype.load(path).provenance or {}
    found = provenance.get("random_search", {})
    if not isinstance(found, dict):
        raise UserError(
            f"{path}: provenance.random_search: received {reprlib.repr(found)}; expected the "
            "settings of random_search, or another --output_dir"
        )
    for name in {**settings, **found}:
        if found.get(name) != settings.get(name):
            raise UserError(
                f"{path}: exists and was drawn with {json_files.field_path([name])} "
                f"{reprlib.repr(found.get(name))}, not {reprlib.repr(settings.get(name))}; "
                "expected another --output_dir"
            )
    draw = provenance.get("draw")
    if type(draw) is not int or not 1 <= draw <= json_files.LARGEST_INTEGER:
        raise UserError(
            f"{path}: provenance.draw: received {reprlib.repr(draw)}; expected a whole number >= 1"
        )
    return draw


def _parse_band(name: str, text: str) -> "Band":
    amounts = [command_line.parse_amount(part) for part in text.split("-")]
    match amounts:
        case [float(least), float(most)] if least <= most:
            return least, most
    raise UserError(
        f"--{name}: received {text!r}; expected LEAST-MOST, each a number that K, M or B may "
        "follow, such as 9.5M-10.5M"
    )


if __name__ == "__main__":
    command_line.run(main)
