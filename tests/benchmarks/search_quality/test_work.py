"""Several workers on one folder; the trainings are stand-ins."""

import dataclasses
import os
import threading
import time

import pytest

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.versions import machine_name
from benchmarks.search_quality.setting import TabularBenchmark, plan
from benchmarks.search_quality.shared_folder import SharedFolder
from benchmarks.search_quality.table import Table, collect
from benchmarks.search_quality.training import Point, TrainedNetwork, Training
from benchmarks.search_quality.work import work

SETTING = {"values": {"Retrain.steps": "2"}, "dataset": {"name": "none"}}


def trained(planned, worse_by=0.0):
    """What a training of a seed gives: an mIOU that names both."""
    mean_iou = int(planned.genotype.name.partition("_")[2]) / 100 + planned.seed / 1000 - worse_by
    training = Training(
        seed=planned.seed,
        steps=2,
        mean_iou=mean_iou,
        pixel_accuracy=0.5,
        loss=None,
        seconds=3.0,
        cpu_seconds=2.0,
        seconds_of_phases={"build": 1.0},
        curve=(Point(2, mean_iou, 0.5),),
    )
    return TrainedNetwork(parameters=10, multiply_adds=20, training=training)


@pytest.fixture
def folder(tmp_path):
    return SharedFolder(tmp_path / "shared", stale_seconds=0.5, touch_seconds=0.05)


@pytest.fixture(scope="module")
def benchmark_settings():
    return TabularBenchmark(layers=2, blocks=1, architectures=5, repeated=2, seeds=3)


def run(folder, planned, train, setting=SETTING):
    lines = []
    work(folder, planned, train, lambda: setting, poll_seconds=0.02, tell=lines.append)
    return lines


def test_the_plan_has_every_architecture_once_before_any_is_repeated(benchmark_settings):
    names = [(each.genotype.name, each.seed) for each in benchmark_settings.trainings()]
    assert names == [(f"random_{n}", 0) for n in range(1, 6)] + [
        (f"random_{n}", seed) for seed in (1, 2) for n in (1, 2)
    ]


def test_more_repeated_ones_than_architectures_are_refused():
    with pytest.raises(UserError, match="received 3; expected at most"):
        TabularBenchmark(architectures=2, repeated=3)


def test_workers_share_all_trainings_and_do_each_once(folder, benchmark_settings):
    planned = benchmark_settings.trainings()
    # Threads may wait for a busy machine, and none of them is dead.
    folder = dataclasses.replace(folder, stale_seconds=60.0)
    done = []

    def slowly(training):
        done.append(training.key)
        time.sleep(0.03)
        return trained(training)

    workers = [threading.Thread(target=run, args=(folder, planned, slowly)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(done) == sorted(each.key for each in planned)
    assert folder.finished() == set(done)
    assert not folder.claimed()


def test_what_is_finished_is_not_trained_again(folder, benchmark_settings):
    planned = benchmark_settings.trainings()
    assert len(run(folder, planned[:2], trained)) == 2
    lines = run(folder, planned, trained)
    assert len(lines) == len(planned) - 2
    assert lines[-1].startswith("9/9  random_2 seed 2: mIOU 2.20%, pixel accuracy 50.00%, 3 s")
    assert run(folder, planned, lambda _: pytest.fail("trained again")) == []


def test_the_training_of_a_killed_worker_is_taken_up(folder, benchmark_settings):
    planned = benchmark_settings.trainings()[:1]
    claim = folder.path / "claims" / planned[0].key
    claim.parent.mkdir(parents=True)
    claim.write_text("some host 1\n")
    started = time.monotonic()
    assert len(run(folder, planned, trained)) == 1
    # Until then it might have been alive.
    assert time.monotonic() - started > 0.3
    assert not claim.exists()


def test_a_claim_stands_as_long_as_its_worker_trains(folder, benchmark_settings):
    key = benchmark_settings.trainings()[0].key
    with folder.claim(key) as first:
        assert first
        deadline = time.monotonic() + 3 * folder.stale_seconds
        while time.monotonic() < deadline:
            with folder.claim(key) as second:
                assert not second
            time.sleep(0.1)
        assert folder.claimed() == {key}


def test_a_training_that_fails_leaves_no_claim(folder, benchmark_settings):
    def failing(training):
        raise UserError("cannot be trained")

    with pytest.raises(UserError, match="cannot be trained"):
        run(folder, benchmark_settings.trainings(), failing)
    assert not folder.claimed()
    assert not folder.finished()


def test_trainings_of_another_setting_are_refused(folder, benchmark_settings):
    planned = benchmark_settings.trainings()
    run(folder, planned[:1], trained)
    other = {**SETTING, "values": {"Retrain.steps": "3"}}
    message = r"values.Retrain.steps: received '3', but .* with '2'; .* another folder"
    with pytest.raises(UserError, match=message):
        run(folder, planned, trained, other)
    assert len(folder.finished()) == 1


def test_a_table_is_read_as_it_was_written(folder, benchmark_settings, tmp_path):
    planned = benchmark_settings.trainings()
    run(folder, planned[:-1], trained)
    table = collect(folder, planned, "table", {"layers": 2})
    table.save(tmp_path / "table.jsonl")
    assert len((tmp_path / "table.jsonl").read_text().splitlines()) == 6
    again = Table.load(tmp_path / "table.jsonl")
    assert (again.header, again.entries) == (table.header, table.entries)
    assert [entry.genotype for entry in again.entries] == [each.genotype for each in planned[:5]]
    assert again.mean_ious.tolist() == [0.01, 0.02, 0.03, 0.04, 0.05]
    assert again.groups() == [[0.01, 0.011, 0.012], [0.02, 0.021]]
    assert again.seconds_per_training == 2
    machines = {each.machine for entry in again.entries for each in entry.trainings}
    assert machines == {machine_name()}
    assert again.header.setting == SETTING


def test_a_table_goes_on_from_an_earlier_one(folder, benchmark_settings, tmp_path):
    planned = benchmark_settings.trainings()
    run(folder, planned[:6], trained)
    earlier = collect(folder, planned, "table")
    elsewhere = SharedFolder(tmp_path / "elsewhere")
    left = [training for training in planned if not earlier.has(training)]
    assert left == planned[6:]
    run(elsewhere, [*left, planned[0]], lambda training: trained(training, worse_by=0.005))
    joined = earlier.joined(collect(elsewhere, planned, "table"))
    # What both have is the earlier one's.
    assert joined.mean_ious.tolist() == [0.01, 0.02, 0.03, 0.04, 0.05]
    assert [[each.seed for each in entry.trainings] for entry in joined.entries] == [
        [0, 1, 2],
        [0, 1, 2],
        [0],
        [0],
        [0],
    ]
    assert all(joined.has(training) for training in planned)
    assert earlier.joined(earlier) == earlier


def test_other_networks_do_not_join_a_table(folder, benchmark_settings, tmp_path):
    planned = benchmark_settings.trainings()
    run(folder, planned, trained)
    table = collect(folder, planned, "table")
    others = dataclasses.replace(benchmark_settings, draw_seed=1).trainings()
    message = "random_1 is another network there"
    with pytest.raises(UserError, match=message):
        table.has(others[0])
    elsewhere = SharedFolder(tmp_path / "elsewhere")
    run(elsewhere, others, trained)
    with pytest.raises(UserError, match=message):
        table.joined(collect(elsewhere, others, "table"))


def test_a_folder_without_results_makes_no_table(folder, benchmark_settings):
    with pytest.raises(UserError, match="has no results"):
        collect(folder, benchmark_settings.trainings(), "table")


def test_a_file_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "other.jsonl"
    json_files.write_lines(path, [{"format": 2}])
    with pytest.raises(UserError, match=r"other.jsonl, line 1"):
        Table.load(path)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, benchmark_settings):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(UserError, match="cannot be"):
        run(SharedFolder(blocked / "folder"), plan([benchmark_settings.genotype(1)], 1), trained)
    assert os.listdir(tmp_path) == ["file"]
