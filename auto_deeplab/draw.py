"""Draws an architecture: its path through the trellis, and its cell.

A known architecture, or a genotype file (with the strength of each choice where the file tells what
a search found):

  python -m auto_deeplab.draw --genotype=published --output=published.png
  python -m auto_deeplab.draw --genotype=runs/search/genotype.json --output=found.svg

What a search has found so far:

  python -m auto_deeplab.draw --model_dir=runs/search --output=so_far.png

The cell during the search, with alpha of each operation on each edge:

  python -m auto_deeplab.draw --model_dir=runs/search --alpha --output=alpha.png
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError

_GENOTYPE = command_line.define_path(
    "genotype", None, "A file or a known name (such as published)."
)
_MODEL_DIR = command_line.define_path(
    "model_dir", None, "The folder of a search: draws, without --genotype, what it decodes to."
)
_EPOCH = flags.DEFINE_integer("epoch", None, "Which epoch of the search; the last by default.")
_OUTPUT = command_line.define_path("output", None, "The file to write: .png, .svg or .pdf.")
_CELL = flags.DEFINE_bool("cell", True, "Draw the cell, too; --nocell draws the path alone.")
_ALPHA = flags.DEFINE_bool(
    "alpha", False, "Draw the cell that was searched instead, with alpha on every edge."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a file that exists.")


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.runs.decode import read_epoch
    from auto_deeplab.search_space import Genotype, Relaxation, searched_relaxation
    from auto_deeplab.visualization.architecture import PARTS, save_architecture
    from auto_deeplab.visualization.cell_relaxation import save_cell_relaxation

    if _OUTPUT.value is None:
        raise UserError(
            "--output: received nothing; expected the file to write, such as architecture.png"
        )
    if _EPOCH.value is not None and _MODEL_DIR.value is None:
        raise UserError("--epoch: received without --model_dir; expected both")
    if _ALPHA.value and not _CELL.value:
        raise UserError("--alpha: draws the cell; received --nocell; expected one of the two")
    genotype = Genotype.load(_GENOTYPE.value) if _GENOTYPE.value is not None else None
    relaxation: Relaxation | None = None
    if _MODEL_DIR.value is not None:
        entry = read_epoch(_MODEL_DIR.value, _EPOCH.value)
        relaxation = entry.relaxation
        genotype = genotype or entry.relaxation.decode(f"epoch {entry.epoch}")
    elif genotype is not None:
        relaxation = searched_relaxation(genotype, _GENOTYPE.value)
    if genotype is None:
        raise UserError("received nothing; expected --genotype=NAME_OR_FILE or --model_dir=DIR")
    if not _ALPHA.value:
        parts = PARTS if _CELL.value else ("network",)
        save_architecture(_OUTPUT.value, genotype, relaxation, _OVERWRITE.value, parts)
    elif relaxation is not None:
        save_cell_relaxation(_OUTPUT.value, relaxation, _OVERWRITE.value)
    else:
        raise UserError(
            f"--alpha: received --genotype={_GENOTYPE.value}, which does not say what it was "
            "decoded from; expected --model_dir of a search, or a genotype file that a search wrote"
        )
    print(f"Written to {_OUTPUT.value}")


if __name__ == "__main__":
    command_line.run(main)
