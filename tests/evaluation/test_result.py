"""The report of an evaluation as JSON and as a table."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.evaluation.result import EvaluationResult


@pytest.fixture
def report():
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
    return EvaluationResult(
        "runs/a", 12, "streets", "val", 2, ("road", "car", "sky"), matrix, (0.5, 1.0), True
    )


def test_json(report, tmp_path):
    report.save(tmp_path / "new" / "evaluation.json")
    document = json.loads((tmp_path / "new" / "evaluation.json").read_text())
    assert document == {
        "format": 1,
        "model": "runs/a",
        "checkpoint": "latest",
        "step": 12,
        "dataset": "streets",
        "split": "val",
        "images": 2,
        "scales": [0.5, 1.0],
        "flip": True,
        "window": None,
        "mean_iou": pytest.approx(7 / 12),
        "pixel_accuracy": 0.75,
        "mean_of_iou_and_accuracy": pytest.approx((7 / 12 + 3 / 4) / 2),
        "mean_class_accuracy": pytest.approx((2 / 3 + 1) / 2),
        "frequency_weighted_iou": pytest.approx(3 / 4 * 2 / 3 + 1 / 4 * 1 / 2),
        "classes": [
            {
                "name": "road",
                "iou": pytest.approx(2 / 3),
                "accuracy": pytest.approx(2 / 3),
                "label_pixels": 3,
            },
            {"name": "car", "iou": 0.5, "accuracy": 1.0, "label_pixels": 1},
            {"name": "sky", "iou": None, "accuracy": None, "label_pixels": 0},
        ],
        "confusion_matrix": [[2, 1, 0], [0, 1, 0], [0, 0, 0]],
    }
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["evaluation.json"]


def test_table(report):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(report.table())
    lines = [line.replace("│", " ").split() for line in console.export_text().splitlines()]
    assert ["road", "66.67%", "66.67%", "75.00%"] in lines
    assert ["sky", "absent", "absent", "0.00%"] in lines
    assert ["mean", "IOU", "58.33%"] in lines
    assert ["pixel", "accuracy", "75.00%"] in lines
    assert ["mean", "of", "both", "66.67%"] in lines
    assert ["mean", "class", "accuracy", "83.33%"] in lines
    assert ["frequency-weighted", "IOU", "62.50%"] in lines
