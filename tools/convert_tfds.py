r"""Converts a data set of tensorflow_datasets that has a label for each pixel into TFRecords.

  python -m tools.convert_tfds --dataset=oxford_iiit_pet --splits=train,val=test \
      --classes=pet,background,outline --first_label=1 --output_dir=datasets/pets

The data set is downloaded and prepared first, where it is not yet, also for --dry_run. Images stay
as they are encoded there. --splits names ours, and theirs after an equals sign where it is another;
a part of one is written as in tensorflow_datasets: --splits='train=train[:90%],val=train[90%:]'.

All problems with the files are listed together, and nothing is written while there are any, unless
--skip_bad leaves them out. --dry_run only looks; --verify compares a finished result with its
inputs. An interrupted conversion continues when the same command is run again.
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.command_line import conversion

_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "Name in tensorflow_datasets: NAME, NAME/CONFIG or NAME:VERSION.",
    required=True,
)
_DATA_DIR = command_line.define_path("data_dir", None, "Where tensorflow_datasets keeps its data.")
_IMPORTS = flags.DEFINE_list(
    "imports", [], "Modules to import first, which register data sets of your own."
)
_SPLITS = flags.DEFINE_list("splits", ["train"], "Splits to convert: OURS or OURS=THEIRS.")
_IMAGE_KEY = flags.DEFINE_string(
    "image_key", None, "Feature with the image; by default the only one in color."
)
_LABEL_KEY = flags.DEFINE_string(
    "label_key", None, "Feature with the labels; by default the only image of 1 channel."
)
_CLASSES = command_line.define_path(
    "classes",
    None,
    "Class names: a comma list, or a file with one a line. By default as the data set names them.",
)
_FIRST_LABEL = flags.DEFINE_integer(
    "first_label", None, "Value of the first class, which the others follow; by default 0.",
    lower_bound=0, upper_bound=255,
)  # fmt: skip
_LABEL_VALUES = flags.DEFINE_list(
    "label_values", None, "Value of each class in the data set, in the order of the classes."
)
_IGNORE_LABEL = flags.DEFINE_list(
    "ignore_label", None, "Values of pixels that do not count. By default 255, if it is no class."
)
_PALETTE = command_line.define_path(
    "palette",
    None,
    "File with a color a class, one a line: red green blue, and perhaps the class's name. By "
    "default colors are generated.",
)

flags.adopt_module_key_flags(conversion)


def main(argv: list[str]) -> None:
    del argv
    import importlib

    from auto_deeplab.data.datasets.folders import read_classes, read_values
    from auto_deeplab.data.datasets.tfds import tfds_conversion
    from auto_deeplab.foundations.errors import UserError

    for module in _IMPORTS.value:
        try:
            importlib.import_module(module)
        except Exception as error:  # Of whatever the module does.
            raise UserError(f"--imports={module}: {type(error).__name__}: {error}") from error
    values = {
        flag.name: read_values(flag.name, flag.value) if flag.value is not None else None
        for flag in (_IGNORE_LABEL, _LABEL_VALUES)
    }
    # Ours by theirs: "train" or "train=train[:90%]".
    splits = {
        ours: theirs or ours for ours, _, theirs in (text.partition("=") for text in _SPLITS.value)
    }
    conversion.run(
        lambda: tfds_conversion(
            _DATASET.value,
            splits,
            data_dir=_DATA_DIR.value,
            image_key=_IMAGE_KEY.value,
            label_key=_LABEL_KEY.value,
            classes=read_classes(_CLASSES.value) if _CLASSES.value else None,
            first_label=_FIRST_LABEL.value,
            palette=_PALETTE.value,
            **values,
        )
    )


if __name__ == "__main__":
    command_line.run(main)
