r"""Converts folders of images and of label images into TFRecords and dataset.json.

Images are PNG, JPEG, BMP, TIFF or WebP files. The labels of IMAGE.jpg are in IMAGE.png (or .tif,
.tiff, .bmp) of the label folder, which may be the same as the images': 8 bits in one channel (or
palette indices) that hold each pixel's class number, from 0. Linked folders are looked into, hidden
ones are not.

  python -m tools.convert_folder \
      --train_images=photos/train --train_labels=labels/train \
      --val_images=photos/val --val_labels=labels/val \
      --classes=sky,building,road,car --ignore_label=255 --output_dir=datasets/photos

--classes is a comma list, or a text file with one class name a line; the order is that of the class
numbers. --ignore_label is the number of the pixels that do not count; the records hold 255 there.

Where the files have it another way:

  IMAGE_mask.png, IMAGE_gt.png ...   found without a flag; --label_suffix=_xyz for any other
  classes from 1, 0 is unlabeled     --first_label=1 --ignore_label=0
  masks of 0 and 255                 --classes=background,object --label_values=0,255
  masks in color                     --palette=FILE, with a color for each class, such as CVAT's
                                     labelmap.txt; --classes may then be left out

All problems with the files are listed together, and nothing is written while there are any, unless
--skip_bad leaves them out. --dry_run only looks; --verify compares a finished result with its
inputs. An interrupted conversion continues when the same command is run again.
"""

from pathlib import Path

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.data import conversion_command

_TRAIN_IMAGES = command_line.define_path("train_images", None, "Folder of training images.")
_TRAIN_LABELS = command_line.define_path("train_labels", None, "Folder of their labels.")
_VAL_IMAGES = command_line.define_path("val_images", None, "Folder of validation images.")
_VAL_LABELS = command_line.define_path("val_labels", None, "Folder of their labels.")
_TEST_IMAGES = command_line.define_path("test_images", None, "Folder of test images.")
_TEST_LABELS = command_line.define_path("test_labels", None, "Folder of their labels.")
_CLASSES = command_line.define_path(
    "classes",
    None,
    "Class names: a comma list, or a file with one a line. By default those of --palette.",
)
_IGNORE_LABEL = flags.DEFINE_list(
    "ignore_label",
    None,
    "Value of pixels that do not count, or several. By default 255, if it is no class.",
)
_FIRST_LABEL = flags.DEFINE_integer(
    "first_label", None, "Value of the first class, which the others follow; by default 0.",
    lower_bound=0, upper_bound=255,
)  # fmt: skip
_LABEL_VALUES = flags.DEFINE_list(
    "label_values", None, "Value of each class in the label files, in the order of --classes."
)
_LABEL_SUFFIX = flags.DEFINE_string(
    "label_suffix",
    None,
    "What a label file has behind its image's name, such as _mask. By default nothing, or what "
    "annotation tools write (_mask, _gt, _label, _seg, ...) if more files are paired that way.",
)
_PALETTE = command_line.define_path(
    "palette",
    None,
    "File with a color a class, one a line: red green blue, each 0..255, and perhaps the class's "
    "name, as in CVAT's labelmap.txt. Label files in these colors are read; colors of names that "
    "are no class are ignored. By default colors are generated, and labels are numbers.",
)
_NAME = flags.DEFINE_string("name", None, "Name of the dataset; by default the output folder's.")

flags.adopt_module_key_flags(conversion_command)


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.data.folders import (
        folder_conversion,
        palette_of,
        read_classes,
        read_colors,
        read_values,
    )
    from auto_deeplab.errors import UserError

    colors = read_colors(_PALETTE.value) if _PALETTE.value else ()
    if _CLASSES.value:
        classes = read_classes(_CLASSES.value)
    else:
        classes = tuple(entry.name for entry in colors if entry.name)
    if not classes:
        raise UserError(
            "--classes: received nothing; expected class names, or --palette with a file that has "
            "them"
        )
    palette, others = palette_of(colors, classes) if colors else (None, ())
    values = {
        flag.name: read_values(flag.name, flag.value) if flag.value is not None else None
        for flag in (_IGNORE_LABEL, _LABEL_VALUES)
    }
    conversion_command.run(
        lambda: folder_conversion(
            name=_NAME.value or Path(conversion_command.OUTPUT_DIR.value).resolve().name,
            folders={
                "train": (_TRAIN_IMAGES.value, _TRAIN_LABELS.value),
                "val": (_VAL_IMAGES.value, _VAL_LABELS.value),
                "test": (_TEST_IMAGES.value, _TEST_LABELS.value),
            },
            classes=classes,
            palette=palette,
            first_label=_FIRST_LABEL.value,
            label_suffix=_LABEL_SUFFIX.value,
            ignored_colors=[entry.color for entry in others],
            **values,
        )
    )


if __name__ == "__main__":
    command_line.run(main)
