r"""Converts COCO's instances into TFRecords with the classes of VOC 2012, to train on before it.

Expects the official layout:

  COCO_ROOT/annotations/instances_train2017.json, instances_val2017.json
  COCO_ROOT/train2017/000000000009.jpg, COCO_ROOT/val2017

  python -m tools.convert_coco --coco_root=coco --output_dir=datasets/coco_voc

Only images with enough of these classes are taken, as usual: more than --min_area pixels. Where
objects of two classes overlap, and in regions that mark a crowd, the labels are ignored.

All problems with the files are listed together, and nothing is written while there are any, unless
--skip_bad leaves them out. --dry_run only looks; --verify compares a finished result with its
inputs. An interrupted conversion continues when the same command is run again.
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.data import conversion_command

_ROOT = command_line.define_path(
    "coco_root", None, "Folder with annotations and the image folders.", required=True
)
_SPLITS = flags.DEFINE_list("splits", ["train", "val"], "Splits to convert, of train and val.")
_YEAR = flags.DEFINE_integer("year", 2017, "The release: 2017, or 2014.")
_MIN_AREA = flags.DEFINE_integer(
    "min_area", 1000, "Leave out images with at most so many annotated pixels.", lower_bound=0
)

flags.adopt_module_key_flags(conversion_command)


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.data.coco import coco_conversion

    conversion_command.run(
        lambda: coco_conversion(_ROOT.value, _SPLITS.value, _YEAR.value, _MIN_AREA.value)
    )


if __name__ == "__main__":
    command_line.run(main)
