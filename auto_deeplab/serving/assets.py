"""The files that an exported network carries: what it is, and how it came about."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.search_space import Genotype, package_versions
from auto_deeplab.serving.options import ExportOptions
from auto_deeplab.training.model_dir import ModelDir

GENOTYPE = "genotype.json"
METRICS = "metrics.json"
EXPORT = "export.json"
FORMAT = 1


def write_assets(
    folder: Path,
    description: DatasetDescription,
    genotype: Genotype | None,
    options: ExportOptions,
    metrics: dict[str, Any] | None = None,
) -> tuple[Path, ...]:
    """Writes the assets into a folder.

    They are dataset.json (class names, colors); genotype.json, where there is a genotype;
    metrics.json, where there are metrics; export.json (the options, versions of the packages).

    Returns:
      The files.
    """
    description.save(folder)
    if genotype is not None:
        genotype.save(folder / GENOTYPE)
    if metrics is not None:
        _write_json(folder / METRICS, {"format": FORMAT, **metrics})
    export = {
        "format": FORMAT,
        "options": dataclasses.asdict(options),
        "packages": package_versions(),
    }
    _write_json(folder / EXPORT, export)
    return tuple(sorted(folder.iterdir()))


def collect_metrics(model_dir: str | os.PathLike, step: int) -> dict[str, Any]:
    """Returns what is known of how good a network is.

    Args:
      model_dir: the folder that training wrote.
      step: the training step of the weights.

    Returns:
      `step`; `training`, the last line of metrics.jsonl up to it, or None; `evaluations`, what
      `evaluate` wrote of this step, by file name, without confusion matrices; `trained_with`, the
      versions of packages in the training's last session.
    """
    folder = ModelDir(Path(model_dir))
    lines = [line for line in folder.read_metrics() if line["step"] <= step]
    sessions = folder.read_sessions()
    evaluations = {}
    for path in sorted(folder.path.glob("evaluation_*.json")):
        evaluation = json.loads(path.read_text(encoding="utf-8-sig"))
        if evaluation["step"] == step:
            del evaluation["confusion_matrix"]
            evaluations[path.stem] = evaluation
    return {
        "step": step,
        "training": lines[-1] if lines else None,
        "evaluations": evaluations,
        "trained_with": sessions[-1]["packages"] if sessions else None,
    }


def load_description(version_dir: Path) -> DatasetDescription:
    """Reads the classes and colors that an exported network carries."""
    return DatasetDescription.load(version_dir / "assets")


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
