"""Turns the result of a search into an architecture, and prints it.

Reads architecture.jsonl in the search's folder, keeps the two strongest branches of each block and
the most likely path through the trellis, and writes them to genotype.json in the same folder, for
retraining, drawing and exporting:

  python -m auto_deeplab.decode --model_dir=runs/search

Prints an architecture that exists already, a file or a known name:

  python -m auto_deeplab.decode --genotype=published
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError

_MODEL_DIR = command_line.define_path("model_dir", None, "The folder of the search to decode.")
_EPOCH = flags.DEFINE_integer("epoch", None, "Which epoch to decode; the last by default.")
_OUTPUT = command_line.define_path(
    "output", None, "The file to write, instead of MODEL_DIR/genotype.json."
)
_NAME = flags.DEFINE_string("name", None, "The architecture's name; the folder's by default.")
_MOST_SKIPS = flags.DEFINE_integer(
    "most_skips",
    None,
    "How many branches of the cell may be skip: the weakest ones above give way to their edge's "
    "next operation. By default as many as Search.most_skips of the search's configuration allows.",
    lower_bound=0,
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a file that holds something else.")
_GENOTYPE = command_line.define_path(
    "genotype", None, "A file or a known name (such as published) to print; nothing is written."
)


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.runs.decode import decode_model_dir
    from auto_deeplab.search_space import Genotype, searched_relaxation
    from auto_deeplab.visualization.architecture_text import describe, describe_diagnosis

    if (_MODEL_DIR.value is None) == (_GENOTYPE.value is None):
        raise UserError(
            f"received {'both' if _GENOTYPE.value else 'nothing'}; expected either "
            "--model_dir=DIR or --genotype=NAME_OR_FILE"
        )
    if _GENOTYPE.value is not None:
        for flag in (_EPOCH, _OUTPUT, _NAME, _MOST_SKIPS):
            if flag.value is not None:
                raise UserError(
                    f"--{flag.name}: received with --genotype; expected with --model_dir alone"
                )
        genotype = Genotype.load(_GENOTYPE.value)
        print(describe(genotype, searched_relaxation(genotype, _GENOTYPE.value)), end="")
        return
    decoded = decode_model_dir(
        _MODEL_DIR.value,
        _EPOCH.value,
        _OUTPUT.value,
        _NAME.value,
        _OVERWRITE.value,
        _MOST_SKIPS.value,
    )
    print(describe(decoded.genotype, decoded.entry.relaxation))
    print(describe_diagnosis(decoded.entry.relaxation))
    print(
        f"Epoch {decoded.entry.epoch}, step {decoded.entry.step}: "
        f"{'written to' if decoded.written else 'already in'} {decoded.path}"
    )


if __name__ == "__main__":
    command_line.run(main)
