"""Tells what a network costs: its parameters and the multiply-adds of its convolutions.

Builds the network and counts, in total and by stem, each layer, ASPP and decoder:

  python -m auto_deeplab.summary --genotype=published
  python -m auto_deeplab.summary --genotype=runs/search/genotype.json --filters=32 --classes=21

The multiply-adds are those of one image of --image_size=HEIGHTxWIDTH. Batch norm, activations,
sums, pools and resizing are not counted. With --json the same is printed as JSON.
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError

_GENOTYPE = command_line.define_path(
    "genotype", None, "A file or a known name (such as published)."
)
_FILTERS = flags.DEFINE_integer(
    "filters", 20, "The network's width F; the paper's networks have 20, 32 and 48."
)
_CLASSES = flags.DEFINE_integer("classes", 19, "The number of classes.")
_IMAGE_SIZE = flags.DEFINE_string("image_size", "1025x2049", "The image's HEIGHTxWIDTH.")
_JSON = flags.DEFINE_bool("json", False, "Print JSON instead of a table.")


def main(argv: list[str]) -> None:
    del argv
    if _GENOTYPE.value is None:
        raise UserError(
            "--genotype: received nothing; expected a file or a name, such as published"
        )
    image_size = command_line.parse_size(_IMAGE_SIZE.value)
    from auto_deeplab.search_space import Genotype

    genotype = Genotype.load(_GENOTYPE.value)

    from rich.console import Console

    from auto_deeplab.models.network_summary import summarize

    summary = summarize(genotype, _FILTERS.value, _CLASSES.value, image_size)
    if _JSON.value:
        print(summary.to_json(), end="")
    else:
        Console().print(summary.table())


if __name__ == "__main__":
    command_line.run(main)
