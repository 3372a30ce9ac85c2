r"""Converts folders of images and of label images into TFRecords and dataset.json.

Images are PNG, JPEG, BMP, TIFF or WebP files. The labels of IMAGE.jpg are in IMAGE.png (or .tif,
.tiff, .bmp) of the label folder: 8 bits in one channel (or palette indices) that hold each pixel's
class number, from 0. Linked folders are looked into, hidden ones are not.

  python tools/convert_folder.py \
      --train_images=photos/train --train_labels=labels/train \
      --val_images=photos/val --val_labels=labels/val \
      --classes=sky,building,road,car --ignore_label=255 --output_dir=datasets/photos

--classes is a comma list, or a text file with one class name a line; the order is that of the class
numbers. --ignore_label is the number of the pixels that do not count; the records hold 255 there.

All problems with the files are listed together, and nothing is written while there are any, unless
--skip_bad leaves them out. --dry_run only looks; --verify compares a finished result with its
inputs. An interrupted conversion continues when the same command is run again.
"""

import sys
from pathlib import Path

from absl import flags

# Run as a file, this folder is on the path and the repository, which holds the package, is not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auto_deeplab import command_line
from auto_deeplab.data import conversion_command

_TRAIN_IMAGES = command_line.define_path("train_images", None, "Folder of training images.")
_TRAIN_LABELS = command_line.define_path("train_labels", None, "Folder of their labels.")
_VAL_IMAGES = command_line.define_path("val_images", None, "Folder of validation images.")
_VAL_LABELS = command_line.define_path("val_labels", None, "Folder of their labels.")
_TEST_IMAGES = command_line.define_path("test_images", None, "Folder of test images.")
_TEST_LABELS = command_line.define_path("test_labels", None, "Folder of their labels.")
_CLASSES = command_line.define_path(
    "classes", None, "Class names: a comma list, or a file with one a line.", required=True
)
_IGNORE_LABEL = flags.DEFINE_integer(
    "ignore_label", 255, "Value of pixels that do not count.", lower_bound=0, upper_bound=255
)
_PALETTE = command_line.define_path(
    "palette",
    None,
    "File with a color a class, one a line: red green blue, each 0..255. "
    "By default colors are generated.",
)
_NAME = flags.DEFINE_string("name", None, "Name of the dataset; by default the output folder's.")

flags.adopt_module_key_flags(conversion_command)


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.data.folders import folder_conversion, read_classes, read_palette

    conversion_command.run(
        lambda: folder_conversion(
            name=_NAME.value or Path(conversion_command.OUTPUT_DIR.value).resolve().name,
            folders={
                "train": (_TRAIN_IMAGES.value, _TRAIN_LABELS.value),
                "val": (_VAL_IMAGES.value, _VAL_LABELS.value),
                "test": (_TEST_IMAGES.value, _TEST_LABELS.value),
            },
            classes=read_classes(_CLASSES.value),
            ignore_label=_IGNORE_LABEL.value,
            palette=read_palette(_PALETTE.value) if _PALETTE.value else None,
        )
    )


if __name__ == "__main__":
    command_line.run(main)
