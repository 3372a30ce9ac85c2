"""That what is planted is there: by the rules, and by training networks for real."""

import numpy as np
import pytest

from auto_deeplab.data.pipeline import evaluation_batches, open_records
from benchmarks.search_quality.planted.tasks import IGNORE_LABEL, TASKS
from benchmarks.search_quality.planted.verdicts import (
    configure,
    plant_holds,
    search_passes,
    train_networks,
)
from benchmarks.search_quality.setting import PlannedTraining


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_labels_follow_from_what_the_rule_reads(task):
    image, label = task.draw(np.random.default_rng(0))
    assert image.shape == (*task.size, 3)
    bits = image.mean(axis=-1) > 128
    votes = {
        "fine_detail": [(0, -16)],
        "far_cue": [(0, -40)],
        "no_skip": [(0, -20), (0, 20), (-20, 0)],
    }[task.name]
    counted = 0
    for y, x in np.ndindex(*task.size):
        places = [(y + dy, x + dx) for dy, dx in votes]
        inside = all(0 <= v < task.size[0] and 0 <= u < task.size[1] for v, u in places)
        assert (label[y, x] != IGNORE_LABEL) == inside
        if inside:
            counted += 1
            assert label[y, x] == (2 * sum(bits[place] for place in places) > len(places))
    assert counted > 500


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_position_of_stride_4_stands_in_the_middle_of_a_square(task):
    image, _ = task.draw(np.random.default_rng(1))
    bits = image.mean(axis=-1) > 128
    half = task.square // 2
    for y in range(task.square, task.size[0] - half, task.square):
        for x in range(task.square, task.size[1] - half, task.square):
            around = bits[y - half : y + half, x - half : x + half]
            assert around.min() == around.max()


def test_a_dataset_is_written_as_records_of_the_project(tmp_path):
    task = TASKS["far_cue"]
    folder = task.write(tmp_path / "far", train=3, val=2)
    assert open_records(folder, "train").examples == 3
    ((images, labels),) = evaluation_batches(open_records(folder, "val"), batch_size=2)
    assert images.shape == (2, *task.size, 3)
    assert set(np.unique(labels)) == {0, 1, IGNORE_LABEL}
    before = (folder / "dataset.json").stat().st_mtime_ns
    assert task.write(folder) == folder
    assert (folder / "dataset.json").stat().st_mtime_ns == before


def test_verdicts():
    assert plant_holds(0.95, 0.55)
    assert not plant_holds(0.6, 0.55)
    assert search_passes(found=0.86, right=0.95, wrong=0.55)
    assert not search_passes(found=0.84, right=0.95, wrong=0.55)


def accuracies(task, folder, parameters=(), **dataset):
    configure(task, task.write(folder / "dataset", **dataset), parameters)
    planned = [PlannedTraining(genotype, 0) for genotype in (task.right, task.wrong)]
    found = train_networks(folder / "trainings", planned)
    return found[task.right.name], found[task.wrong.name]


def test_a_network_that_reaches_the_far_cue_learns_it_and_another_does_not(tmp_path):
    quickly = ["Retrain.steps = 50", "Retrain.batch_size = 4"]
    right, wrong = accuracies(TASKS["far_cue"], tmp_path, quickly, train=32, val=8)
    assert plant_holds(right, wrong)
    assert wrong < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_the_right_network_beats_the_wrong_one_clearly(name, tmp_path):
    right, wrong = accuracies(TASKS[name], tmp_path)
    assert plant_holds(right, wrong)
