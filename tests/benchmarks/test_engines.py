"""The benchmarks of exported networks as a user runs them, at sizes that take no time."""

import json

import numpy as np
import pytest

from auto_deeplab.search_space import Branch, Genotype
from benchmarks.measuring.memory_needed import expected_megabytes
from benchmarks.measuring.peak_memory import memory_over_time
from benchmarks.workers.engines import write_exports
from tests.helpers import assert_user_error, run_command


@pytest.fixture
def genotype(tmp_path):
    """The file of a small architecture."""
    cell = ((Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "skip")),)
    Genotype("small", (4, 8), cell).save(tmp_path / "genotype.json")
    return str(tmp_path / "genotype.json")


def test_engines_are_measured_in_turns_and_once(genotype, tmp_path):
    output = tmp_path / "engines.json"
    few = ["--sizes=33x65", "--batches=2,1", "--repeats=2", f"--output={output}"]
    few += [f"--genotype={genotype}", "--filters=4"]
    done = run_command("benchmarks.engines", "--engines=onnx,openvino", *few, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["batch"], row["model"]) for row in rows] == [
        (1, "onnx"),
        (1, "openvino"),
        (2, "onnx"),
        (2, "openvino"),
    ]
    for row in rows:
        assert row["images_per_second"] == pytest.approx(row["batch"] / row["median_seconds"])
        assert len(row["seconds"]) == 2
        assert 0 < row["megabytes_before"] <= row["peak_megabytes"]
    theirs, ours = (row["seconds"] for row in rows[:2])
    assert rows[0]["times_faster_than_openvino"] == pytest.approx(
        np.median(np.array(ours) / np.array(theirs))
    )

    # Again, with an engine more, for which there is too little memory.
    written = output.read_text()
    done = run_command("benchmarks.engines", "--engines=onnx,xla,openvino", *few, "--memory=1")
    assert done.returncode == 0, done.stderr
    assert output.read_text() == written
    assert done.stdout.count("skipped:") == 2
    assert "skipped: 33x65, 1 at once, xla: needs about 1012 MB of memory, has 1" in done.stdout
    for row in rows:
        assert f"{row['median_seconds']:.3f}" in done.stdout


def test_memory_is_expected_on_the_line_through_what_was_taken():
    assert expected_megabytes(513 * 513, []) > 2000
    # All that the first took may be the pixels'.
    assert expected_megabytes(400, [(100, 1000)]) == 4000
    measured = [(200, 1500), (100, 1400), (400, 1700)]
    assert expected_megabytes(1600, measured) == 2900
    assert expected_megabytes(50, measured) == 1700
    assert expected_megabytes(800, [(100, 1400), (400, 1300)]) == 1300


def test_a_load_run(genotype, tmp_path):
    write_exports(tmp_path, ["folded"], genotype, filters=4)
    saved_model = f"--saved_model={tmp_path / 'folded'}"
    few = ("--minutes=0.05", "--clients=3", "--longest=33", "--files=2")
    done = run_command("benchmarks.serving_load", saved_model, *few, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["requests"] >= 3
    assert report["images_per_second"] == pytest.approx(2 * report["requests"] / report["seconds"])
    assert 0 < report["p50_seconds"] <= report["p99_seconds"]
    assert len(report["resident_megabytes"]) == 10
    assert max(report["resident_megabytes"]) <= report["peak_megabytes"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "received none; expected one of --saved_model, --server and --demo"),
        (["--demo=http://x:1", "--saved_model=x"], "received --saved_model and --demo; exp"),
        (["--server=http://x:1"], "received --server or --model alone"),
        (["--demo=http://x:1", "--files=2"], "--files: received 2; expected 1, or --saved_model"),
    ],
)
def test_what_is_put_under_load_is_named_once(flags, message):
    done = run_command("benchmarks.serving_load", *flags)
    assert done.returncode == 1
    assert message in done.stderr


def test_memory_that_grows_in_the_second_half():
    steady = [500, 700, 760, 790, 795, 800, 803, 801, 802, 804]
    assert memory_over_time(steady) == {
        "resident_megabytes": steady,
        "grown_megabytes_in_second_half": 4,
        "memory_grew": False,
    }
    leaking = [500, *range(800, 845, 5)]
    assert memory_over_time(leaking)["memory_grew"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--engines=onx", "--engines: received 'onx'; did you mean onnx?"),
        ("--batches=0", "--batches: received '0'; expected numbers of images"),
        ("--genotype=publishd", "publishd"),
    ],
)
def test_wrong_flags_are_user_errors(flag, message):
    done = run_command("benchmarks.engines", flag)
    assert_user_error(done, message)
