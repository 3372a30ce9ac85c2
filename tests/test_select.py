"""The command as users run it, on the smallest trainings that there are."""

import functools
import signal
import time

import numpy as np
import pytest

from auto_deeplab.foundations.errors import TRY_AGAIN_STATUS
from auto_deeplab.models.counting import count_multiply_adds, count_parameters
from auto_deeplab.models.final.network import build_network
from auto_deeplab.runs.selection import SelectionDir
from auto_deeplab.search_space import Branch, Genotype
from auto_deeplab.training.checkpoints.files import CheckpointFiles
from tests.datasets import png_example, write_dataset
from tests.helpers import (
    RunningPython,
    assert_user_error,
    contents,
    output_of,
    run_command,
    run_without_slow_imports,
)
from tests.trainings import newest_values

run = functools.partial(run_command, "auto_deeplab.select")

GIN_FILE = """
include 'base/retrain.gin'

Retrain.dataset = '{dataset}'
Retrain.steps = 2
Retrain.batch_size = 2
training_batches.crop_size = 33
build_network.filters = 4
build_network.aspp_filters = 4
build_network.decoder_filters = 4
"""
# Two candidates of one step, the better one of two steps.
HALVING = [
    f"--gin_param=Selection.{name} = {value}"
    for name, value in {
        "layers": 1,
        "strides": (4,),
        "blocks": 1,
        "operations": ("max_pool_3x3", "avg_pool_3x3", "skip"),
        "eta": 2,
        "rungs": 2,
        "bracket": 2,
    }.items()
]
GIVEN = Genotype("given", (4,), ((Branch("prev_prev", "skip"), Branch("prev", "skip")),))


@pytest.fixture(scope="module")
def gin_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    random = np.random.default_rng(0)
    examples = [
        png_example(
            f"{number}.png",
            random.integers(0, 256, (33, 49, 3), np.uint8),
            random.integers(0, 2, (33, 49), np.uint8),
        )
        for number in range(2)
    ]
    write_dataset(folder, "noise", {"train": examples, "val": examples}, ["one", "other"])
    path = folder / "tiny.gin"
    path.write_text(GIN_FILE.format(dataset=folder))
    return path


@pytest.fixture(scope="module")
def selected(gin_file, tmp_path_factory):
    """The folder of a selection, the arguments that made it, and what it printed."""
    folder = tmp_path_factory.mktemp("selection") / "select"
    GIVEN.save(folder.parent / "given.json")
    arguments = (
        f"--gin_file={gin_file}",
        f"--output_dir={folder}",
        f"--genotypes={folder.parent / 'given.json'}",
        "--trainings=2",
        *HALVING,
    )
    return folder, arguments, output_of(run(*arguments))


def test_candidates_are_trained_and_the_best_is_written(selected):
    folder, _, printed = selected
    candidates = SelectionDir(folder).read_candidates()
    assert [each.origin for each in candidates] == ["given", "random"]
    assert sorted(len(each.rungs) for each in candidates) == [1, 2]
    (best,) = (each for each in candidates if each.state == "finished")
    # Each rung has a seed of its own; the last one's is that of the gin file.
    assert [(each.steps, each.seed) for each in best.rungs] == [(1, 1), (2, 0)]
    assert all(0 < result.mean_iou < 1 for each in candidates for result in each.rungs)
    written = Genotype.load(folder / "genotype.json")
    assert (written.network, written.cell) == (best.genotype.network, best.genotype.cell)
    provenance = written.provenance
    assert provenance["selection"]["candidates"] == 2
    assert provenance["selection"]["rungs"] == [
        {"steps": 1, "candidates": 2},
        {"steps": 2, "candidates": 1},
    ]
    assert provenance["seeds"] == {"Selection.seed": 0, "Retrain.seed": 0}
    assert "Retrain.steps = 2" in provenance["gin_config"]
    assert "tensorflow" in provenance["packages"]
    assert f"done: the best of 2 candidates is {best.name}" in printed


def test_the_costs_are_those_that_the_summary_tells(selected):
    folder, _, _ = selected
    (best,) = (each for each in SelectionDir(folder).read_candidates() if each.state == "finished")
    network = build_network(best.genotype, 2, filters=4, aspp_filters=4, decoder_filters=4)
    assert best.parameters == count_parameters(network)
    assert best.multiply_adds == count_multiply_adds(network, (33, 49))


def test_the_last_rung_is_the_training_of_the_gin_file(selected, gin_file, tmp_path):
    folder, _, _ = selected
    (best,) = (each for each in SelectionDir(folder).read_candidates() if each.state == "finished")
    genotype = folder / "genotype.json"
    done = run_command(
        "auto_deeplab.train",
        f"--gin_file={gin_file}",
        f"--gin_param=Retrain.genotype = {str(genotype)!r}",
        f"--model_dir={tmp_path / 'train'}",
    )
    assert done.returncode == 0, done.stderr
    _, ours = newest_values(folder / "trainings" / f"candidate_{best.number}" / "steps_2")
    _, trained = newest_values(tmp_path / "train")
    assert ours.keys() == trained.keys()
    for name, values in ours.items():
        np.testing.assert_allclose(values, trained[name], rtol=1e-4, atol=1e-5, err_msg=name)
    # Of the shorter ones only the figures are kept.
    assert not list(folder.glob("trainings/*/steps_1/checkpoints"))
    assert len(list(folder.glob("trainings/*/steps_1/metrics.jsonl"))) == 2


def test_the_same_command_ends_at_once_and_another_setting_is_refused(selected):
    folder, arguments, _ = selected
    before = contents(folder)
    printed = output_of(run(*arguments))
    assert printed.startswith("done: the best of 2 candidates")
    after = contents(folder)
    # It was there; nothing else is new.
    noted = {"sessions.jsonl", "study.journal"}
    assert {name: after[name] for name in after if name not in noted} == {
        name: before[name] for name in before if name not in noted
    }
    for argument, message in (
        ("--gin_param=Retrain.learning_rate = 0.1", "values.Retrain.learning_rate: received '0.1'"),
        ("--max_parameters=1B", "selection.bands.parameters: received [0.0, 1000000000.0]"),
        ("--gin_param=Selection.seed = 3", "selection.seed: received 3, but"),
        (f"--storage={folder.parent / 'other.journal'}", "received a study without candidates"),
    ):
        assert_user_error(run(*arguments, argument), message)


def test_sigterm_saves_and_ends_with_the_status_of_a_training(gin_file, tmp_path):
    folder = SelectionDir(tmp_path / "select")
    long = (f"--gin_file={gin_file}", *HALVING, "--gin_param=Retrain.steps = 20000")
    arguments = ("-m", "auto_deeplab.select", f"--output_dir={folder.path}", *long)
    training = folder.path / "trainings" / "candidate_0" / "steps_10000"
    with RunningPython(*arguments) as process:
        deadline = time.monotonic() + 300
        while not (training / "metrics.jsonl").exists() and time.monotonic() < deadline:
            assert process.poll() is None, process.printed()
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        done = process.finish()
    assert done.returncode == TRY_AGAIN_STATUS, done.stderr
    assert done.stdout == "SIGTERM: everything is saved; the same command goes on\n"
    assert "SIGTERM: saved after step" in (training / "log.txt").read_text()
    assert CheckpointFiles(training / "checkpoints").steps()[-1] > 0
    assert list(folder.claims.iterdir()) == []


def test_a_report_shows_it(selected, tmp_path):
    folder, _, _ = selected
    output_of(run_command("auto_deeplab.report", folder, f"--output={tmp_path / 'page.html'}"))
    page = (tmp_path / "page.html").read_text()
    assert "<h2>Selection select</h2>" in page
    for column in ("mIOU, 1 steps", "mIOU, 2 steps", "multiply-adds"):
        assert column in page
    assert (tmp_path / "page" / "rungs_select.svg").exists()
    assert (tmp_path / "page" / "pareto_select.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget=soon"], "--budget: received 'soon'; expected a time above 0"),
        (["--budget=0m"], "--budget: received '0m'"),
        (["--trainings=0"], "--trainings: received 0.0; expected a number above 0"),
        (["--max_parameters=few"], "--max_parameters: received 'few'; expected a number above 0"),
        (
            ["--genotypes=docs"],
            "--genotypes: received docs; expected a folder with a genotype.json",
        ),
        (["--genotypes=nothing.json"], "nothing.json"),
        (["--gin_file=nothing.gin"], "--gin_file: received 'nothing.gin'"),
    ],
)
def test_mistakes_in_flags_are_told_at_once(arguments, message, tmp_path):
    done = run_without_slow_imports(
        "auto_deeplab.select",
        *("--gin_file=retrain.gin", f"--output_dir={tmp_path / 'none'}", *arguments),
    )
    assert_user_error(done, message)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trainings=1.2"], "--trainings: received 1.2; expected at least 1.5"),
        (["--genotypes=published"], "--genotypes: published: genotype 'published'"),
        (
            ["--gin_param=Retrain.initial_model_dir = 'x'"],
            "Retrain.initial_model_dir: received 'x'; expected None",
        ),
        (["--gin_param=Selection.rungs = 5"], "Selection.rungs: received 5 with Selection.eta = 2"),
        (["--gin_param=Selection.eta = 1"], "Selection.eta: received 1; expected"),
        (["--gin_file=search.gin"], "expected one of a retraining"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(arguments, message, gin_file, tmp_path):
    done = run(f"--gin_file={gin_file}", f"--output_dir={tmp_path / 'none'}", *HALVING, *arguments)
    assert_user_error(done, message)
    assert not (tmp_path / "none" / "trainings").exists()
