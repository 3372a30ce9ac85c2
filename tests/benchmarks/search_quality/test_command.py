"""The command as users run it, on two architectures of two steps."""

import numpy as np
import pytest

from auto_deeplab.runs.selection import SelectionDir, best_candidate
from auto_deeplab.search_space import Branch, Genotype
from benchmarks.search_quality.table import Table
from tests.datasets import png_example, write_dataset
from tests.helpers import run_command

COMMAND = "benchmarks.search_quality"


@pytest.fixture(scope="module")
def parameters(tmp_path_factory):
    """The smallest trainings that there are."""
    random = np.random.default_rng(0)
    examples = [
        png_example(
            f"{number}.png",
            random.integers(0, 256, (33, 49, 3), np.uint8),
            random.integers(0, 2, (33, 49), np.uint8),
        )
        for number in range(2)
    ]
    folder = write_dataset(
        tmp_path_factory.mktemp("dataset"),
        "noise",
        {"train": examples, "val": examples},
        ["one", "other"],
    )
    values = {
        "Retrain.dataset": repr(str(folder)),
        "Retrain.steps": 2,
        "Retrain.batch_size": 2,
        "training_batches.crop_size": 33,
        "build_network.filters": 4,
        "build_network.aspp_filters": 8,
        "build_network.decoder_filters": 8,
        "TabularBenchmark.layers": 1,
        "TabularBenchmark.blocks": 1,
        "TabularBenchmark.architectures": 2,
        "TabularBenchmark.repeated": 1,
        "TabularBenchmark.seeds": 2,
    }
    return [f"--gin_param={name} = {value}" for name, value in values.items()]


@pytest.fixture(scope="module")
def table(parameters, tmp_path_factory):
    """The folder of a finished table, and its file."""
    folder = tmp_path_factory.mktemp("table")
    file = folder / "table.jsonl"
    flags = [f"--folder={folder}", f"--table={file}"]
    done = run_command(COMMAND, "table", *flags, *parameters)
    assert done.returncode == 0, done.stderr
    collected = run_command(COMMAND, "collect", *flags, *parameters)
    assert collected.returncode == 0, collected.stderr
    assert "2 networks with 3 trainings" in collected.stdout
    return folder, file


def test_a_table_tells_what_each_network_is_costs_and_reaches(table):
    _, file = table
    loaded = Table.load(file)
    assert [entry.name for entry in loaded.entries] == ["random_1", "random_2"]
    assert [[each.seed for each in entry.trainings] for entry in loaded.entries] == [[0, 1], [0]]
    for entry in loaded.entries:
        assert entry.parameters > 0
        assert entry.multiply_adds > 0
        for training in entry.trainings:
            assert training.steps == 2
            assert 0 < training.mean_iou < 1
            assert training.seconds > 0
    assert loaded.header.setting["dataset"]["name"] == "noise"
    # It goes on wherever the same images are.
    assert "source" not in loaded.header.setting["dataset"]
    assert loaded.header.setting["values"]["Retrain.steps"] == "2"


def test_what_the_table_has_is_not_trained_again(table, parameters, tmp_path):
    _, file = table
    flags = [f"--folder={tmp_path}", f"--table={file}"]
    done = run_command(COMMAND, "table", *flags, *parameters)
    assert done.returncode == 0, done.stderr
    assert f"{file} has 3 of 3 trainings" in done.stdout
    assert not (tmp_path / "results").exists()
    refused = run_command(
        COMMAND, "table", *flags, *parameters, "--gin_param=TabularBenchmark.draw_seed = 1"
    )
    assert refused.returncode == 1, refused.stderr
    assert "random_1 is another network there" in refused.stderr
    trained_otherwise = run_command(
        COMMAND, "table", *flags, *parameters, "--gin_param=Retrain.batch_size = 1"
    )
    assert trained_otherwise.returncode == 1
    message = "--table: received trainings with Retrain.batch_size = 2; expected 1, as in"
    assert message in trained_otherwise.stderr


def test_a_method_is_trained_as_the_table_and_compared_with_it(table, parameters, tmp_path):
    _, file = table
    genotype = Genotype(
        "found", (4,), ((Branch("prev_prev", "skip"), Branch("prev", "sep_conv_3x3")),)
    )
    genotype.save(tmp_path / "found.json")
    flags = [
        f"--folder={tmp_path / 'method'}",
        "--method=mine",
        f"--genotypes={tmp_path / 'found.json'}",
    ]
    done = run_command(COMMAND, "train", *flags, *parameters)
    assert done.returncode == 0, done.stderr
    output = tmp_path / "mine.jsonl"
    collected = run_command(
        COMMAND, "collect", *flags, f"--output={output}", "--search_seconds=1", *parameters
    )
    assert collected.returncode == 0, collected.stderr
    assert Table.load(output).entries[0].name == "mine_0"

    compared = run_command(COMMAND, "compare", f"--table={file}", f"--methods={output}")
    assert compared.returncode == 0, compared.stderr
    assert "2 random networks: mean IOU" in compared.stdout
    assert "mine" in compared.stdout

    picture = tmp_path / "table.svg"
    drawn = run_command(
        COMMAND, "figure", f"--table={file}", f"--methods={output}", f"--output={picture}"
    )
    assert drawn.returncode == 0, drawn.stderr
    assert "percentile among the random networks" not in drawn.stdout
    assert picture.stat().st_size > 5000


def test_a_selection_trains_only_what_the_table_does_not_have(table, parameters, tmp_path):
    _, file = table
    gin_file = tmp_path / "select.gin"
    gin_file.write_text(
        "include 'benchmarks/search_quality/camvid_quarter.gin'\n"
        "import auto_deeplab.selection.settings\n"
        "Selection.layers = 1\nSelection.blocks = 1\n"
        "Selection.rungs = 1\nSelection.bracket = 2\nSelection.random_share = 0.5\n"
    )
    flags = [f"--gin_file={gin_file}", f"--folder={tmp_path}", f"--table={file}"]
    flags += ["--trainings=4", "--repetitions=1", *parameters]
    done = run_command(COMMAND, "select", *flags)
    assert done.returncode == 0, done.stderr
    selection = SelectionDir(tmp_path / "selection_0")
    candidates = selection.read_candidates()
    assert [each.origin for each in candidates] == ["random"] * 3 + ["surrogate"]
    known = {entry.name: entry for entry in Table.load(file).entries}
    for each in candidates:
        (result,) = each.rungs
        entry = known.get(each.name)
        assert selection.training(each, 2).exists() == (entry is None)
        if entry is not None:
            assert (result.mean_iou, result.steps) == (entry.mean_iou, 2)
    best = max(each.mean_iou for each in candidates)
    assert f"genotype.json: {best_candidate(candidates).name} with {best:.2%}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabel"], "STEP: received 'tabel'; did you mean table"),
        (["compare"], "--methods: received nothing"),
        (["rank"], "--search: received nothing"),
        (["pilot", "--lengths=many"], "--lengths: received 'many'"),
        (["train", "--method=a/b", "--genotypes=published"], "--method: received 'a/b'"),
    ],
)
def test_what_is_wrong_is_said(arguments, message):
    done = run_command(COMMAND, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
