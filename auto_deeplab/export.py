r"""Writes a trained network as a SavedModel, TFLite or ONNX file that does not need this package.

Writes OUTPUT/VERSION/, the layout of TensorFlow Serving, with the next free number as the version;
earlier versions stay. The folder's name is the model's. Decoding, resizing, normalization and the
choice of the class are inside the graph.

Signatures: serving_default takes images, uint8 [batch, height, width, 3]; image_bytes takes JPEG
and PNG files of any sizes; tf_example takes serialized tf.train.Examples with image/encoded. All
return class_map, int32 [batch, height, width], at the images' own size, and what else --outputs
names. docs/deployment.md describes them.

  model = tf.saved_model.load("exported/street_scenes/1")
  class_map = model.signatures["serving_default"](images=images)["class_map"]

OUTPUT/VERSION/assets/ holds class names and colors, the genotype, metrics and versions.

With --format=tflite or --format=onnx OUTPUT is one new file, of uint8 images and the same outputs,
that carries the assets too. --precision=int8 measures the range of each activation on images of
--dataset_dir, any data set that tools/convert_*.py wrote. What a format loses tells
python -m auto_deeplab.evaluate --model_dir=DIR --tflite=FILE. With --input_size such a file takes
one image of that very size.

Example:
  python -m auto_deeplab.export --model_dir=runs/retrain --output=exported/street_scenes
  python -m auto_deeplab.export --model_dir=runs/retrain --output=exported/street_scenes \
      --outputs=class_map,probabilities --input_size=513x513 --scales=0.75,1,1.25 --flip
  python -m auto_deeplab.export --model_dir=runs/retrain --output=exported/street_scenes.tflite \
      --format=tflite --precision=int8 --dataset_dir=datasets/street_scenes
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.serving.export.options import (
    KERNEL_DTYPES,
    MOST_PIXELS_IN_REQUESTS,
    OUTPUTS,
    PRECISIONS,
    ExportOptions,
)

if TYPE_CHECKING:
    import numpy as np

_MODEL_DIR = command_line.define_path(
    "model_dir", None, "The folder that training wrote.", required=True
)
_CHECKPOINT = command_line.define_checkpoint_flag()
_OUTPUT = command_line.define_path(
    "output", None, "The folder that receives the new version, or the new file.", required=True
)
_FORMAT = flags.DEFINE_enum(
    "format", "saved_model", ["saved_model", "tflite", "onnx"], "What to write."
)
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", PRECISIONS, "What a TFLite file stores, and with int8 computes with."
)
_DATASET_DIR = command_line.define_path(
    "dataset_dir", None, "For int8: TFRecords and dataset.json of images like those to come."
)
_SPLIT = flags.DEFINE_string("split", "train", "The split of --dataset_dir.")
_CALIBRATION_IMAGES = flags.DEFINE_integer(
    "calibration_images", 100, "How many images of it, evenly spread.", lower_bound=1
)
_VERSION = flags.DEFINE_integer(
    "version", None, "The version's number; the next one by default.", lower_bound=1
)
_OUTPUTS = flags.DEFINE_list(
    "outputs", ["class_map"], f"What the signatures return: {', '.join(OUTPUTS)}."
)
_INPUT_SIZE = flags.DEFINE_string(
    "input_size",
    None,
    "HEIGHTxWIDTH that the network runs at: images are scaled to fit and padded, and predictions "
    "scaled back. By default it runs at each image's own size.",
)
_SCALES = flags.DEFINE_list("scales", ["1"], "Scales whose predictions are averaged.")
_FLIP = flags.DEFINE_bool("flip", False, "Average with the prediction of the mirrored image.")
_FOLD = flags.DEFINE_bool("fold_batch_norm", True, "Make batch norm a part of the convolutions.")
_KERNEL_DTYPE = flags.DEFINE_enum(
    "kernel_dtype",
    "float32",
    KERNEL_DTYPES,
    "What convolutions' kernels are stored in; all is computed in float32.",
)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    MOST_PIXELS_IN_REQUESTS,
    "Images with more pixels are refused before they are decoded.",
)
_WARM_UP_SIZE = flags.DEFINE_string(
    "warm_up_size",
    None,
    "HEIGHTxWIDTH of the warm-up requests' images; --input_size or 513x513 by default.",
)


def main(argv: list[str]) -> None:
    del argv
    options = ExportOptions(
        outputs=tuple(_OUTPUTS.value),
        input_size=_size(_INPUT_SIZE.value, "input_size"),
        scales=command_line.parse_scales(_SCALES.value),
        flip=_FLIP.value,
        fold_batch_norm=_FOLD.value,
        kernel_dtype=_KERNEL_DTYPE.value,
        max_pixels=_MAX_PIXELS.value,
    )
    warm_up_size = _size(_WARM_UP_SIZE.value, "warm_up_size")

    _check_format()

    from auto_deeplab.serving.export.assets import collect_metrics
    from auto_deeplab.training.trained import load_trained

    trained = load_trained(_MODEL_DIR.value, _CHECKPOINT.value)
    network = (trained.model, trained.description, trained.genotype, _OUTPUT.value, options)
    metrics = collect_metrics(_MODEL_DIR.value, trained.step)
    written = Path(_OUTPUT.value)
    if _FORMAT.value == "onnx":
        from auto_deeplab.serving.export.to_onnx import export_onnx

        export_onnx(*network, metrics=metrics)
    elif _FORMAT.value == "tflite":
        from auto_deeplab.serving.export.to_tflite import export_tflite

        export_tflite(*network, _PRECISION.value, _calibration_images(), metrics)
    else:
        from auto_deeplab.serving.export.to_saved_model import export_saved_model

        written = export_saved_model(
            *network, version=_VERSION.value, metrics=metrics, warm_up_size=warm_up_size
        )
    files = written.rglob("*") if written.is_dir() else [written]
    size = sum(path.stat().st_size for path in files if path.is_file())
    print(f"exported step {trained.step} of {_MODEL_DIR.value} to {written} ({size / 1e6:.1f} MB)")


def _check_format() -> None:
    """Checks before anything heavy is imported that the flags go together."""
    is_int8 = _PRECISION.value == "int8"
    if _FORMAT.value != "tflite" and _PRECISION.present:
        raise UserError(
            f"--precision: received with --format={_FORMAT.value}; expected --format=tflite, or no "
            "--precision"
        )
    if is_int8 != bool(_DATASET_DIR.value):
        given, missing = "--precision=int8", "--dataset_dir"
        if not is_int8:
            given, missing = missing, given
        raise UserError(f"received {given} without {missing}; expected both or neither")
    if _FORMAT.value != "saved_model":
        for flag in (_VERSION, _WARM_UP_SIZE, _MAX_PIXELS):
            if flag.present:
                raise UserError(
                    f"--{flag.name}: received with --format={_FORMAT.value}; expected "
                    f"--format=saved_model, or no --{flag.name}"
                )
        # The exporters check it too, but only after the network was loaded.
        if os.path.lexists(_OUTPUT.value):
            raise UserError(f"--output={_OUTPUT.value}: exists; expected the name of a new file")


def _calibration_images() -> list["np.ndarray"]:
    if not _DATASET_DIR.value:
        return []
    from auto_deeplab.serving.export.calibration_images import calibration_images

    return calibration_images(_DATASET_DIR.value, _SPLIT.value, _CALIBRATION_IMAGES.value)


def _size(text: str | None, flag: str) -> tuple[int, int] | None:
    return command_line.parse_size(text, flag) if text else None


if __name__ == "__main__":
    command_line.run(main)
