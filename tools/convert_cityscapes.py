r"""Converts Cityscapes (gtFine or gtCoarse) into TFRecords and dataset.json.

Expects the layout of the official downloads, unpacked into one folder: leftImg8bit_trainvaltest.zip
with gtFine_trainvaltest.zip, and leftImg8bit_trainextra.zip with gtCoarse.zip.

  CITYSCAPES_ROOT/leftImg8bit/SPLIT/CITY/CITY_000000_000019_leftImg8bit.png
  CITYSCAPES_ROOT/gtFine/SPLIT/CITY/CITY_000000_000019_gtFine_labelIds.png
  CITYSCAPES_ROOT/gtCoarse/SPLIT/CITY/CITY_000000_000019_gtCoarse_labelIds.png

The search runs on images of half the size, retraining on the full size:

  python -m tools.convert_cityscapes --cityscapes_root=/data/cityscapes --scale=0.5 \
      --output_dir=datasets/cityscapes_half
  python -m tools.convert_cityscapes --cityscapes_root=/data/cityscapes \
      --output_dir=datasets/cityscapes
  python -m tools.convert_cityscapes --cityscapes_root=/data/cityscapes --annotation=gtCoarse \
      --splits=train_extra --output_dir=datasets/cityscapes_coarse

Images shrink by area averaging, labels to the nearest neighbor. The labels of the test split are
not public: what its files hold is no class, so all of it is ignored.

All problems with the files are listed together, and nothing is written while there are any, unless
--skip_bad leaves them out. --dry_run only looks; --verify compares a finished result with its
inputs. An interrupted conversion continues when the same command is run again.
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.data import conversion_command

_ROOT = command_line.define_path(
    "cityscapes_root", None, "Folder with leftImg8bit and gtFine or gtCoarse.", required=True
)
_ANNOTATION = flags.DEFINE_enum(
    "annotation", "gtFine", ["gtFine", "gtCoarse"], "Which annotations to convert."
)
_SPLITS = flags.DEFINE_list(
    "splits",
    None,
    "Splits to convert: train, val, test, train_extra. By default train,val of gtFine and "
    "train,train_extra of gtCoarse.",
)

flags.adopt_module_key_flags(conversion_command)


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.data.cityscapes import SPLITS, cityscapes_conversion

    splits = _SPLITS.value or SPLITS[_ANNOTATION.value]
    conversion_command.run(lambda: cityscapes_conversion(_ROOT.value, splits, _ANNOTATION.value))


if __name__ == "__main__":
    command_line.run(main)
