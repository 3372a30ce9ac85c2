"""Turns the result of a search into an architecture, and prints it.

Reads architecture.jsonl in the search's folder, keeps the two strongest branches of each block and
the most likely path through the trellis, and writes them to genotype.json in the same folder, for
retraining, drawing and exporting:

  python -m auto_deeplab.decode --model_dir=runs/search

Chooses the cell by what the supernet loses without each operation and each edge instead, measured
with the newest checkpoint on training images that alpha learned on:

  python -m auto_deeplab.decode --model_dir=runs/search --by=perturbation --output=by_loss.json

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
_BY = flags.DEFINE_enum(
    "by", "alpha", ["alpha", "perturbation"], "What chooses the operations and edges of the cell."
)
_IMAGES = flags.DEFINE_integer(
    "images",
    32,
    "How many images to measure on, with --by=perturbation: each is predicted once without each "
    "operation on each edge, 161 times for the paper's cell.",
    lower_bound=1,
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
        for flag in (_EPOCH, _OUTPUT, _NAME, _MOST_SKIPS, _BY, _IMAGES):
            if flags.FLAGS[flag.name].present:
                raise UserError(
                    f"--{flag.name}: received with --genotype; expected with --model_dir alone"
                )
        genotype = Genotype.load(_GENOTYPE.value)
        print(describe(genotype, searched_relaxation(genotype, _GENOTYPE.value)), end="")
        return
    effects = None
    if _BY.value == "perturbation":
        if _EPOCH.value is not None:
            raise UserError(
                f"--epoch: received {_EPOCH.value} with --by=perturbation; expected none: it takes "
                "the weights of the newest checkpoint"
            )
        from auto_deeplab.training.perturbation import measure_search

        effects = measure_search(_MODEL_DIR.value, _IMAGES.value)
    elif flags.FLAGS[_IMAGES.name].present:
        raise UserError("--images: received with --by=alpha; expected with --by=perturbation alone")
    decoded = decode_model_dir(
        _MODEL_DIR.value,
        _EPOCH.value,
        _OUTPUT.value,
        _NAME.value,
        _OVERWRITE.value,
        _MOST_SKIPS.value,
        effects,
    )
    print(describe(decoded.genotype, decoded.entry.relaxation))
    print(describe_diagnosis(decoded.entry.relaxation))
    print(
        f"Epoch {decoded.entry.epoch}, step {decoded.entry.step}: "
        f"{'written to' if decoded.written else 'already in'} {decoded.path}"
    )


if __name__ == "__main__":
    command_line.run(main)
