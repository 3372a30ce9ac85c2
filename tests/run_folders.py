"""Fixtures: folders as runs leave them, written by hand."""

import json

import numpy as np
import pytest

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.evaluation.result import EvaluationResult
from auto_deeplab.runs.decode import decode_model_dir
from auto_deeplab.search_space import (
    CellGraph,
    Genotype,
    Relaxation,
    TrellisGraph,
    append_history,
    diagnose,
)

SEARCH_CONFIG = """
import auto_deeplab.training.search

# Parameters for configured_job:
configured_job.job = @Search()

Search.epochs = 3
Search.seed = {seed}
Search.warm_up_epochs = 1
Supernet.operations = \\
    ('none',
     'skip',
     'sep_conv_3x3')
Supernet.layers = {layers}
"""
RETRAIN_CONFIG = """
configured_job.job = @Retrain()
Retrain.seed = 5
Retrain.steps = 20
"""
CLASSES = ("road", "car", "sky")


def write_metrics(folder, lines):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def make_search(tmp_path):
    """Makes the folder of a search of one epoch a mean IOU, 10 steps each."""

    def make(name, mean_ious=(0.1, 0.2, 0.3), seed=0, layers=3):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.gin").write_text(SEARCH_CONFIG.format(seed=seed, layers=layers))
        cell = CellGraph(2, ("none", "skip", "sep_conv_3x3"))
        trellis = TrellisGraph(layers, (4, 8, 16))
        generator = np.random.default_rng(seed)
        figures = []
        for epoch, _ in enumerate(mean_ious, start=1):
            relaxation = Relaxation(
                cell,
                trellis,
                generator.normal(size=(len(cell.edges), 3)),
                generator.normal(size=len(trellis.arcs)),
            )
            append_history(folder / "architecture.jsonl", epoch, 10 * epoch, relaxation)
            figures.append(diagnose(relaxation).figures())
        decode_model_dir(folder)
        write_metrics(
            folder,
            [
                {
                    "epoch": epoch,
                    "step": 10 * epoch,
                    "loss": 2 / epoch,
                    "architecture_loss": 3 / epoch,
                    "learning_rate": 0.1,
                    "val_mean_iou": value,
                    "val_pixel_accuracy": 2 * value,
                    "seconds_per_step": 0.5 * epoch,
                    "validation_seconds": 2.0,
                }
                | figures[epoch - 1]
                for epoch, value in enumerate(mean_ious, start=1)
            ],
        )
        return folder

    return make


@pytest.fixture
def make_training(tmp_path):
    """Makes the folder of a retraining of 20 steps that was evaluated: its matrix is given."""

    def make(name, counts=((8, 2, 0), (5, 5, 0), (0, 0, 0))):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.gin").write_text(RETRAIN_CONFIG)
        Genotype.load("published").save(folder / "genotype.json")
        palette = ((200, 0, 0), (0, 200, 0), (0, 0, 200))
        DatasetDescription("shapes", {"val": 4}, CLASSES, palette).save(folder)
        write_metrics(
            folder,
            [
                {"epoch": 1, "step": 10, "loss": 1.5, "learning_rate": 0.2}
                | {"seconds_per_step": 1.0, "validation_seconds": 0.0},
                {"epoch": 2, "step": 20, "loss": 1.0, "learning_rate": 0.1, "val_mean_iou": 0.4}
                | {"seconds_per_step": 1.0, "validation_seconds": 3.0},
            ],
        )
        matrix = ConfusionMatrix(len(CLASSES))
        matrix.counts += np.array(counts)
        EvaluationResult(name, 20, "shapes", "val", 4, CLASSES, matrix).save(
            folder / "evaluation_val.json"
        )
        return folder

    return make
