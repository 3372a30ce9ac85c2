"""The files that an exported network carries: what it is, and how it came about."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, PositiveInt

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.evaluation.result import read_document
from auto_deeplab.foundations import json_files
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.runs.versions import package_versions
from auto_deeplab.search_space import Genotype
from auto_deeplab.serving.export.options import ExportOptions

GENOTYPE = "genotype.json"
METRICS = "metrics.json"
EXPORT = "export.json"
FORMAT = 1


class _Options(BaseModel):
    """What serving has to know of `ExportOptions`."""

    input_size: tuple[PositiveInt, PositiveInt] | None


class _Export(BaseModel):
    format: Literal[1]
    options: _Options
    packages: dict[str, str]


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
        json_files.write(folder / METRICS, {"format": FORMAT, **metrics})
    export = {
        "format": FORMAT,
        "options": dataclasses.asdict(options),
        "packages": package_versions(),
    }
    json_files.write(folder / EXPORT, export)
    return tuple(sorted(folder.iterdir()))


def collect_metrics(model_dir: str | os.PathLike, step: int) -> dict[str, Any]:
    """Returns what is known of how good a network is.

    Args:
        model_dir: The folder that training wrote.
        step: The training step of the weights.

    Returns:
        `step`; `training`, the last line of metrics.jsonl up to it, or None; `evaluations`, what
        `evaluate` wrote of this step, by file name, without confusion matrices; `trained_with`, the
        versions of packages in the training's last session.

    Raises:
        UserError: A file is wrong; the message names it.
    """
    folder = ModelDir(Path(model_dir))
    lines = [line for line in folder.read_metrics() if line["step"] <= step]
    sessions = folder.read_sessions()
    evaluations = {}
    for path in sorted(folder.path.glob("evaluation_*.json")):
        evaluation = read_document(path)
        if evaluation["step"] == step:
            del evaluation["confusion_matrix"]
            evaluations[path.stem] = evaluation
    return {
        "step": step,
        "training": lines[-1] if lines else None,
        "evaluations": evaluations,
        "trained_with": sessions[-1]["packages"] if sessions else None,
    }


def read_options(version_dir: Path) -> dict[str, Any]:
    """Returns the `ExportOptions` that an exported network was made with.

    Raises:
        UserError: There is no export.json, or it is not what `write_assets` writes.
    """
    path = version_dir / "assets" / EXPORT
    document = json_files.read(path)
    json_files.check(document, _Export, str(path))
    return document["options"]


def load_description(version_dir: Path) -> DatasetDescription:
    """Reads the classes and colors that an exported network carries."""
    return DatasetDescription.load(version_dir / "assets")
