r"""Converts Cityscapes (gtFine) into TFRecords and dataset.json.

Expects the layout of the official downloads leftImg8bit_trainvaltest.zip and
gtFine_trainvaltest.zip, unpacked into one folder:

  CITYSCAPES_ROOT/leftImg8bit/SPLIT/CITY/CITY_000000_000019_leftImg8bit.png
  CITYSCAPES_ROOT/gtFine/SPLIT/CITY/CITY_000000_000019_gtFine_labelIds.png

The search runs on images of half the size, retraining on the full size:

  python tools/convert_cityscapes.py --cityscapes_root=/data/cityscapes --scale=0.5 \
      --output_dir=datasets/cityscapes_half
  python tools/convert_cityscapes.py --cityscapes_root=/data/cityscapes \
      --output_dir=datasets/cityscapes

Images shrink by area averaging, labels to the nearest neighbor. An interrupted conversion continues
when the same command is run again.
"""

import sys
from pathlib import Path

from absl import flags

# Run as a file, this folder is on the path and the repository, which holds the package, is not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auto_deeplab import command_line

_ROOT = flags.DEFINE_string(
    "cityscapes_root", None, "Folder with leftImg8bit and gtFine.", required=True
)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Folder to make.", required=True)
_SCALE = flags.DEFINE_float(
    "scale", 1.0, "Factor of height and width: 0.5 for the search's half-resolution images."
)
_SPLITS = flags.DEFINE_list("splits", ["train", "val"], "Splits to convert.")
_EXAMPLES_PER_SHARD = flags.DEFINE_integer(
    "examples_per_shard", 100, "The most examples in a TFRecord file.", lower_bound=1
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace the output folder if it is not empty, once the new one is done."
)


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.data.cityscapes import cityscapes_conversion
    from auto_deeplab.data.conversion_engine import convert

    conversion = cityscapes_conversion(
        _ROOT.value,
        splits=_SPLITS.value,
        scale=_SCALE.value,
        examples_per_shard=_EXAMPLES_PER_SHARD.value,
    )
    description = convert(conversion, _OUTPUT_DIR.value, overwrite=_OVERWRITE.value)
    counts = ", ".join(f"{count} {split}" for split, count in description.splits.items())
    print(f"{_OUTPUT_DIR.value}: {counts} examples of {len(description.classes)} classes")


if __name__ == "__main__":
    command_line.run(main)
