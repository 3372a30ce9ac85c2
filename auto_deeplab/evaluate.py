"""Measures a trained network: mean IOU, pixel accuracy and the IOU of each class.

Whole images are predicted, each at its own size and in one scale. The figures are printed as a
table and written as JSON to MODEL_DIR/evaluation_SPLIT.json. A class that neither the labels nor
the predictions hold does not count in the mean.

Example:
  python -m auto_deeplab.evaluate --model_dir=runs/retrain
  python -m auto_deeplab.evaluate --model_dir=runs/retrain --dataset_dir=datasets/camvid --split=val
"""

from pathlib import Path

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.errors import UserError

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "The folder that training wrote.", required=True
)
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
_OUTPUT = flags.DEFINE_string(
    "output", None, "The JSON file; MODEL_DIR/evaluation_SPLIT.json by default."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the JSON file if it exists.")


def main(argv: list[str]) -> None:
    del argv
    output = Path(_OUTPUT.value or Path(_MODEL_DIR.value) / f"evaluation_{_SPLIT.value}.json")
    if output.exists() and not _OVERWRITE.value:
        raise UserError(f"{output} exists: give another --output, or --overwrite to replace it")

    from rich.console import Console

    from auto_deeplab.data.pipeline import evaluation_batches, open_records
    from auto_deeplab.data.survey import naming_corrupt_records
    from auto_deeplab.evaluation.inference import class_map_function, evaluate
    from auto_deeplab.evaluation.report import EvaluationReport
    from auto_deeplab.training.trained import load_trained

    trained = load_trained(_MODEL_DIR.value)
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
    with naming_corrupt_records(records):
        matrix = evaluate(
            class_map_function(trained.model),
            evaluation_batches(records, limit=images),
            len(description.classes),
            description.ignore_label,
            total=images,
        )
    report = EvaluationReport(
        model=_MODEL_DIR.value,
        step=trained.step,
        dataset=description.name,
        split=_SPLIT.value,
        images=images,
        class_names=description.classes,
        matrix=matrix,
    )
    report.save(output)
    Console().print(report.table())
    print(f"written to {output}")


if __name__ == "__main__":
    command_line.run(main)
