"""The benchmarks of exported networks as a user runs them, at sizes that take no time."""

import json
import subprocess
import sys

import pytest

from benchmarks.engines_worker import write_exports
from tests.conftest import REPOSITORY


def run(benchmark, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{benchmark}", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_engines_are_measured_in_turns():
    done = run(
        "engines", "--engines=onnx,openvino", "--sizes=33x65", "--batches=1,2", "--repeats=2",
        "--filters=4", "--json",
    )  # fmt: skip
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


def test_a_load_run(tmp_path):
    write_exports(tmp_path, ["folded"], filters=4)
    saved_model = f"--saved_model={tmp_path / 'folded'}"
    done = run(
        "serving_load", saved_model, "--seconds=3", "--clients=3", "--longest=33", "--files=2",
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["requests"] >= 3
    assert report["images_per_second"] == pytest.approx(2 * report["requests"] / report["seconds"])
    assert 0 < report["p50_seconds"] <= report["p99_seconds"]
    assert len(report["resident_megabytes"]) == 10


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--engines=onx", "--engines: received 'onx'; did you mean onnx?"),
        ("--batches=0", "--batches: received '0'; expected numbers of images"),
    ],
)
def test_wrong_flags_are_user_errors(flag, message):
    done = run("engines", flag)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
