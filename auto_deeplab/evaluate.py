"""Measures a trained network: mean IOU, accuracies, and IOU and accuracy of each class.

The figures are printed as a table and written as JSON to MODEL_DIR/evaluation_SPLIT.json. Pixels
with the ignore label do not count. A class that neither the labels nor the predictions hold does
not count in the mean IOU, as in the official evaluation of Cityscapes and PASCAL VOC.

Images are predicted whole, each at its own size, in one scale. --scales and --flip average the
probabilities of several views; the paper's are 0.5,0.75,1,1.25,1.5,1.75 with --flip. --window
predicts large images in overlapping windows, which bounds the memory.

--submission writes the predictions as files for a test server as well: label ids of Cityscapes,
indexed PNGs in PASCAL VOC's folders, or ADE20K's class numbers. Interrupted, the same command goes
on with the images that are missing.

With --distribution=mirrored each GPU predicts an image, or a window, of its own.

Example:
  python -m auto_deeplab.evaluate --model_dir=runs/retrain
  python -m auto_deeplab.evaluate --model_dir=runs/retrain --checkpoint=best --output=best.json
  python -m auto_deeplab.evaluate --model_dir=runs/retrain --dataset_dir=datasets/camvid --split=val
  python -m auto_deeplab.evaluate --model_dir=runs/retrain_voc2012_l --split=test \\
      --dataset_dir=datasets/voc2012_test --scales=0.5,0.75,1,1.25,1.5,1.75 \\
      --flip --submission=voc
"""

import itertools
from pathlib import Path

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.distribution import settings
from auto_deeplab.errors import UserError

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "The folder that training wrote.", required=True
)
_CHECKPOINT = command_line.define_checkpoint_flag()
_DATASET_DIR = flags.DEFINE_string(
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
_SUBMISSION_DIR = flags.DEFINE_string(
    "submission_dir", None, "Where to; MODEL_DIR/submission_NAME_SPLIT by default."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "The JSON file; MODEL_DIR/evaluation_SPLIT.json by default."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace results that exist.")
_distribution = settings.define_flags()


def main(argv: list[str]) -> None:
    del argv
    distribution = _distribution()
    if distribution.name == "tpu":
        raise UserError(
            "--distribution: received 'tpu', which compiles for each image's size anew; expected "
            "none, mirrored or multi_worker"
        )
    scales = _scales()
    window = command_line.parse_size(_WINDOW.value, "window") if _WINDOW.value else None
    model_dir = Path(_MODEL_DIR.value)
    output = Path(_OUTPUT.value or model_dir / f"evaluation_{_SPLIT.value}.json")
    submission_dir = Path(
        _SUBMISSION_DIR.value or model_dir / f"submission_{_SUBMISSION.value}_{_SPLIT.value}"
    )
    results = {"--output": output}
    if _SUBMISSION.value:
        results["--submission_dir"] = submission_dir
    for flag, path in results.items():
        if distribution.is_chief and path.exists() and not _OVERWRITE.value:
            raise UserError(f"{path} exists: give another {flag}, or --overwrite to replace it")

    from auto_deeplab.distribution.workers import ending_with_lost_workers

    with ending_with_lost_workers(distribution.cluster):
        _evaluate(distribution, scales, window, output, submission_dir)


def _evaluate(
    distribution: settings.Distribution,
    scales: tuple[float, ...],
    window: tuple[int, int] | None,
    output: Path,
    submission_dir: Path,
) -> None:
    from rich.console import Console

    from auto_deeplab.data.pipeline import evaluation_batches, open_records
    from auto_deeplab.data.survey import naming_corrupt_records
    from auto_deeplab.distribution.strategy import make_strategy
    from auto_deeplab.distribution.workers import Workers
    from auto_deeplab.evaluation.inference import evaluate
    from auto_deeplab.evaluation.report import EvaluationReport
    from auto_deeplab.evaluation.submission import SubmissionWriter
    from auto_deeplab.training.trained import load_trained

    strategy = make_strategy(distribution)
    workers = Workers(strategy)
    with strategy.scope():
        trained = load_trained(_MODEL_DIR.value, _CHECKPOINT.value)
    records = open_records(
        _DATASET_DIR.value or trained.dataset_dir, _SPLIT.value, _IGNORE_CORRUPT.value
    )
    description = records.description
    if description.classes != trained.description.classes:
        raise UserError(
            f"--dataset_dir={records.dataset_dir}: its classes {', '.join(description.classes)} "
            f"are not those of {_MODEL_DIR.value}: {', '.join(trained.description.classes)}"
        )
    images = min(records.examples, _LIMIT.value or records.examples)
    predict = _predict_function(trained.model, scales, window)
    if _SUBMISSION.value:
        predict = SubmissionWriter(
            submission_dir,
            _SUBMISSION.value,
            description,
            _SPLIT.value,
            itertools.islice(records.file_names(), workers.index, None, workers.count),
            predict,
            settings={
                "dataset_dir": str(Path(records.dataset_dir).resolve()),
                "step": trained.step,
                "scales": scales,
                "flip": _FLIP.value,
                "window": window,
                "overlap": _OVERLAP.value,
            },
        )
    with naming_corrupt_records(records):
        matrix = evaluate(
            predict,
            evaluation_batches(records, limit=images, input_context=workers.input_context()),
            len(description.classes),
            description.ignore_label,
            total=len(range(workers.index, images, workers.count)),
            progress=workers.is_chief,
            at_a_time=workers.replicas,
        )
    matrix.counts = workers.sum(matrix.counts)
    if workers.is_chief:
        report = EvaluationReport(
            model=_MODEL_DIR.value,
            step=trained.step,
            checkpoint=_CHECKPOINT.value,
            dataset=description.name,
            split=_SPLIT.value,
            images=images,
            class_names=description.classes,
            matrix=matrix,
            scales=scales,
            flip=_FLIP.value,
            window=window,
        )
        report.save(output)
        Console().print(report.table())
        print(f"written to {output}")
        if _SUBMISSION.value:
            predict.finish()
            print(f"{images} predictions for the test server: {submission_dir}")
    workers.wait()


def _predict_function(model, scales: tuple[float, ...], window: tuple[int, int] | None):
    """Returns the function from batches of images to class maps that the flags describe."""
    from auto_deeplab.evaluation.inference import ReplicatedPrediction
    from auto_deeplab.evaluation.sliding_windows import SlidingWindows

    if window is None:
        return ReplicatedPrediction(model, scales, _FLIP.value)
    probabilities = ReplicatedPrediction(model, scales, _FLIP.value, as_probabilities=True)
    return SlidingWindows(probabilities, window, _OVERLAP.value)


def _scales() -> tuple[float, ...]:
    try:
        scales = tuple(float(scale) for scale in _SCALES.value)
    except ValueError:
        scales = ()
    if not scales or not all(0 < scale <= 8 for scale in scales):
        raise UserError(
            f"--scales: received {','.join(_SCALES.value)!r}; expected factors above 0, to 8, such "
            "as 0.5,0.75,1"
        )
    return scales


if __name__ == "__main__":
    command_line.run(main)
