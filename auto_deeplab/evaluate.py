r"""Measures a trained network: mean IOU, accuracies, and IOU and accuracy of each class.

The figures are printed as a table and written as JSON to MODEL_DIR/evaluation_SPLIT.json. Pixels
with the ignore label do not count. A class that neither the labels nor the predictions hold does
not count in the mean IOU, as in the official evaluation of Cityscapes and PASCAL VOC.

Images are predicted whole, each at its own size, in one scale. --scales and --flip average the
probabilities of several views; DeepLab's are 0.5,0.75,1,1.25,1.5,1.75 with --flip, for Cityscapes
0.75,1,1.25. --window predicts large images in overlapping windows, which bounds the memory.

--submission writes the predictions as files for a test server as well: label ids of Cityscapes,
indexed PNGs in PASCAL VOC's folders, or ADE20K's class numbers. Interrupted, the same command goes
on with the images that are missing.

An exported network is evaluated with --saved_model, --tflite, --onnx or --openvino (a SavedModel in
that engine), on --dataset_dir; the JSON file lies beside it. With --model_dir as well, the trained
network predicts the same images: the command tells how much mean IOU the exported one lost, and how
many pixels get another class. Views are part of an exported network: give them to export.

With --distribution=mirrored each GPU predicts an image, or a window, of its own.

Example:
  python -m auto_deeplab.evaluate --model_dir=runs/retrain
  python -m auto_deeplab.evaluate --model_dir=runs/retrain --checkpoint=best --output=best.json
  python -m auto_deeplab.evaluate --tflite=exported/street_scenes.tflite --model_dir=runs/retrain
  python -m auto_deeplab.evaluate --model_dir=runs/retrain --dataset_dir=datasets/camvid --split=val
  python -m auto_deeplab.evaluate --model_dir=runs/retrain_voc2012_l --split=test \
      --dataset_dir=datasets/voc2012_test --scales=0.5,0.75,1,1.25,1.5,1.75 \
      --flip --submission=voc
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, cast

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.command_line import distribution_flags, export_flags
from auto_deeplab.distribution.settings import Distribution
from auto_deeplab.foundations.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from auto_deeplab.evaluation.evaluator import EvaluatedNetwork, Views
    from auto_deeplab.evaluation.result import EvaluationResult

flags.adopt_module_key_flags(export_flags)
_MODEL_DIR = command_line.define_path("model_dir", None, "The folder that training wrote.")
_CHECKPOINT = command_line.define_checkpoint_flag()
_DATASET_DIR = command_line.define_path(
    "dataset_dir", None, "TFRecords and dataset.json; by default what the model was trained on."
)
_SPLIT = flags.DEFINE_string("split", "val", "The split to evaluate on.")
_LIMIT = flags.DEFINE_integer(
    "limit", None, "Evaluate on the first images only, this many.", lower_bound=1
)
_IGNORE_CORRUPT = flags.DEFINE_bool(
    "ignore_corrupt", False, "Leave out records that are corrupt, and list them."
)
_SCALES = flags.DEFINE_list("scales", ["1"], "Scales whose predictions are averaged.")
_FLIP = flags.DEFINE_bool("flip", False, "Average with the prediction of the mirrored image.")
_WINDOW = flags.DEFINE_string(
    "window", None, "HEIGHTxWIDTH of sliding windows, such as 1025x1025; whole images by default."
)
_OVERLAP = flags.DEFINE_float(
    "overlap",
    0.33,
    "The least share of a window that it has in common with the next one.",
    lower_bound=0.0,
    upper_bound=0.9,
)
_SUBMISSION = flags.DEFINE_enum(
    "submission",
    None,
    ["cityscapes", "voc", "ade20k"],
    "Write the predictions as this test server wants them.",
)
_SUBMISSION_DIR = command_line.define_path(
    "submission_dir", None, "Where to; submission_NAME_SPLIT beside the JSON file by default."
)
_OUTPUT = command_line.define_path(
    "output",
    None,
    "The JSON file; MODEL_DIR/evaluation_SPLIT.json by default, and NAME_evaluation_SPLIT.json "
    "beside an exported network.",
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace results that exist.")
_distribution = distribution_flags.define_flags()


def main(argv: list[str]) -> None:
    del argv
    distribution = _distribution()
    if distribution.name == "tpu":
        raise UserError(
            "--distribution: received 'tpu', which compiles for each image's size anew; expected "
            "none, mirrored or multi_worker"
        )
    scales = command_line.parse_scales(_SCALES.value)
    window = command_line.parse_size(_WINDOW.value, "window") if _WINDOW.value else None
    export = export_flags.given_export()
    several_views = _FLIP.value or scales != (1.0,) or window is not None
    _check_networks(export, several_views, distribution)
    output = Path(_OUTPUT.value or _default_output(export))
    submission_dir = Path(
        _SUBMISSION_DIR.value or output.parent / f"submission_{_SUBMISSION.value}_{_SPLIT.value}"
    )
    results = {"--output": output}
    if _SUBMISSION.value:
        results["--submission_dir"] = submission_dir
    for flag, path in results.items():
        if distribution.is_chief and path.exists() and not _OVERWRITE.value:
            raise UserError(f"{path}: exists already; expected another {flag}, or --overwrite")

    from auto_deeplab.distribution.workers import ending_with_lost_workers
    from auto_deeplab.evaluation.evaluator import Views

    views = Views(scales, _FLIP.value, window, _OVERLAP.value)
    with ending_with_lost_workers(distribution.cluster):
        _evaluate(distribution, export, views, output, submission_dir)


def _evaluate(
    distribution: Distribution,
    export: tuple[str, str] | None,
    views: "Views",
    output: Path,
    submission_dir: Path,
) -> None:
    from auto_deeplab.data.pipeline import open_records
    from auto_deeplab.distribution.strategy import make_strategy
    from auto_deeplab.distribution.workers import Workers
    from auto_deeplab.evaluation.evaluator import EvaluatedNetwork, Evaluator
    from auto_deeplab.training.trained import load_trained

    strategy = make_strategy(distribution)
    workers = Workers(strategy)
    dataset_dir = _DATASET_DIR.value
    trained = exported = None
    if _MODEL_DIR.value:
        with strategy.scope():
            source = load_trained(_MODEL_DIR.value, _CHECKPOINT.value)
        dataset_dir = dataset_dir or source.dataset_dir
        predict = views.predict_with(source.model)
        trained = EvaluatedNetwork(
            _MODEL_DIR.value, source.description, predict, source.step, _CHECKPOINT.value, views
        )
    if export:
        exported = _load_exported(*export, views)
    # Each is there, as `_check_networks` has made sure.
    network = cast(EvaluatedNetwork, exported or trained)
    records = open_records(cast(str, dataset_dir), _SPLIT.value, _IGNORE_CORRUPT.value)
    for each in (exported, trained):
        if each and each.description.classes != records.description.classes:
            raise UserError(
                f"--dataset_dir={records.dataset_dir}: received the classes "
                f"{', '.join(records.description.classes)}; expected those of {each.name}: "
                f"{', '.join(each.description.classes)}"
            )
    evaluator = Evaluator(records, workers, _LIMIT.value)
    submission = None
    if _SUBMISSION.value:
        submission = evaluator.submission_writer(network, submission_dir, _SUBMISSION.value)
        network = dataclasses.replace(network, predict=submission)
    result = evaluator.evaluate(network, trained if exported else None)
    if workers.is_chief:
        _show_and_save(result, output)
        if submission:
            submission.finish()
            print(f"{result.images} predictions for the test server: {submission_dir}")
    workers.wait()


def _load_exported(kind: str, path: str, views: "Views") -> "EvaluatedNetwork":
    """Returns the network of an export flag, which has its views in itself."""
    from auto_deeplab.data.augmentation import pixels_of
    from auto_deeplab.evaluation.evaluator import EvaluatedNetwork
    from auto_deeplab.serving.engines.load import load_exported
    from auto_deeplab.serving.files.image_files import UnreadableImage

    exported = load_exported(kind, path)

    def predict_one(images: "tf.Tensor") -> "np.ndarray":
        try:
            return exported.class_maps(pixels_of(images).numpy())
        except UnreadableImage as error:
            raise UserError(f"an image of {images.shape[1]}x{images.shape[2]}: {error}") from error

    return EvaluatedNetwork(
        exported.path,
        exported.description,
        lambda batches: [predict_one(images) for images in batches],
        views=views,
    )


def _show_and_save(result: "EvaluationResult", output: Path) -> None:
    from rich.console import Console

    result.save(output)
    Console().print(result.table())
    if result.comparison:
        print(result.comparison.sentence())
    print(f"written to {output}")


def _check_networks(
    export: tuple[str, str] | None, several_views: bool, distribution: Distribution
) -> None:
    if not export and not _MODEL_DIR.value:
        raise UserError(
            "received no network; expected --model_dir, or an exported one: --saved_model, "
            "--tflite, --onnx or --openvino"
        )
    if export and several_views:
        raise UserError(
            f"--{export[0]}: received --scales, --flip or --window; expected none of them, as the "
            "views are part of an exported network"
        )
    if export and distribution.name != "none":
        raise UserError(
            f"--{export[0]}: received --distribution={distribution.name}; expected none, as an "
            "exported network runs on one device"
        )
    if export and not _MODEL_DIR.value and not _DATASET_DIR.value:
        raise UserError(
            f"--{export[0]}: received no dataset; expected --dataset_dir or --model_dir, too"
        )


def _default_output(export: tuple[str, str] | None) -> Path:
    name = f"evaluation_{_SPLIT.value}.json"
    if not export:
        return Path(_MODEL_DIR.value, name)
    kind, path = export
    if kind in ("saved_model", "openvino"):
        from auto_deeplab.serving.export.versions import find_version

        # TensorFlow Serving looks at the folders beside it whose names are numbers, and no others.
        path = str(find_version(path))
        name = f"{kind}_{name}"
    beside = Path(path) if Path(path).name not in ("", "..") else Path(path).resolve()
    return beside.with_name(f"{beside.name}_{name}")


if __name__ == "__main__":
    command_line.run(main)
