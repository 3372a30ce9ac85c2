r"""Converts ADE20K's scene parsing benchmark into TFRecords and dataset.json.

Expects the layout of ADEChallengeData2016.zip:

  ADE20K_ROOT/images/training/ADE_train_00000001.jpg
  ADE20K_ROOT/annotations/training/ADE_train_00000001.png
  ADE20K_ROOT/images/validation, ADE20K_ROOT/annotations/validation

  python -m tools.convert_ade20k --ade20k_root=ADEChallengeData2016 --output_dir=datasets/ade20k

The 150 classes become 0..149; what has none of their names, 0 in the annotations, is ignored.
Training images are resized to a longer side of 513 pixels, smaller ones too, as in the paper;
--longer_side=0 keeps their sizes. Validation images keep theirs, at which they are scored.

All problems with the files are listed together, and nothing is written while there are any, unless
--skip_bad leaves them out. --dry_run only looks; --verify compares a finished result with its
inputs. An interrupted conversion continues when the same command is run again.
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.command_line import conversion
from auto_deeplab.data.datasets.ade20k import LONGER_SIDE, ade20k_conversion

_ROOT = command_line.define_path(
    "ade20k_root", None, "Folder ADEChallengeData2016, or the one above.", required=True
)
_SPLITS = flags.DEFINE_list("splits", ["train", "val"], "Splits to convert, of train and val.")

flags.adopt_module_key_flags(conversion)
flags.set_default(conversion.LONGER_SIDE, LONGER_SIDE)


def main(argv: list[str]) -> None:
    del argv
    conversion.run(lambda: ade20k_conversion(_ROOT.value, _SPLITS.value))


if __name__ == "__main__":
    command_line.run(main)
