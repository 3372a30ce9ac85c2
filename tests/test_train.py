"""The train command, each run a process as a user starts it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from auto_deeplab.search_space import read_history

REPOSITORY = Path(__file__).resolve().parents[1]

SEARCH = """
include 'base/search.gin'

Search.dataset = '{dataset}'
Search.epochs = 2
Search.warm_up_epochs = 1
Search.batch_size = 1
Search.checkpoint_minutes = 0
training_batches.crop_size = 33
Supernet.layers = 2
Supernet.strides = (4, 8)
Supernet.blocks = 1
Supernet.filters = 4
Supernet.operations = ("skip", "sep_conv_3x3")
"""


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder, *arguments):
    """Returns the exit status and what was printed."""
    process = start(folder, *arguments)
    printed, errors = process.communicate(timeout=300)
    return process.returncode, printed, errors


@pytest.fixture
def gin_file(colored_dataset, tmp_path):
    path = tmp_path / "tiny.gin"
    path.write_text(SEARCH.format(dataset=colored_dataset))
    return path


def test_a_search_that_was_killed_ends_as_if_it_had_not_been(gin_file, tmp_path):
    train = ["-m", "auto_deeplab.train", "--gin_file=tiny.gin"]
    status, printed, errors = run(tmp_path, *train)
    assert status == 0, errors
    assert "done: results are in runs/tiny" in printed
    assert "epoch 2/2: loss" in printed
    uninterrupted = tmp_path / "runs" / "tiny"

    killed = tmp_path / "killed"
    process = start(tmp_path, *train, "--model_dir=killed")
    while not (killed / "checkpoints" / "step-2.index").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (killed / "genotype.json").exists()

    status, printed, errors = run(tmp_path, *train, "--model_dir=killed")
    assert status == 0, errors
    assert "continuing after step" in printed
    for expected, entry in zip(
        read_history(uninterrupted / "architecture.jsonl"),
        read_history(killed / "architecture.jsonl"),
        strict=True,
    ):
        assert entry[:2] == expected[:2]
        np.testing.assert_array_equal(entry.relaxation.alpha, expected.relaxation.alpha)
        np.testing.assert_array_equal(entry.relaxation.beta, expected.relaxation.beta)
    assert len((killed / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_mistyped_file_is_reported_before_tensorflow_is_loaded(tmp_path):
    hidden = "import sys, runpy; sys.modules['tensorflow'] = None; sys.argv.pop(0); "
    status, _, errors = run(
        tmp_path,
        "-c",
        hidden + "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)",
        "auto_deeplab.train",
        "--gin_file=serch.gin",
    )
    assert status == 1
    assert errors.startswith("error: --gin_file: 'serch.gin' is neither a file nor one of those in")
    assert "did you mean search.gin" in errors
    assert errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
