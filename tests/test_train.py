"""The train command, each run a process as a user starts it."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers import REPOSITORY

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


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def gin_file(colored_dataset, tmp_path):
    path = tmp_path / "tiny.gin"
    path.write_text(SEARCH.format(dataset=colored_dataset))
    return path


def test_one_process_trains_into_a_folder_and_sigterm_ends_it_with_75(gin_file, tmp_path):
    train = ["-m", "auto_deeplab.train", "--gin_file=tiny.gin"]
    folder = tmp_path / "runs" / "tiny"
    process = start(tmp_path, *train)
    while not (folder / "checkpoints" / "step-1.json").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)
    before = contents(folder)
    status, _, errors = run(tmp_path, *train)
    assert status == 1
    assert f"error: runs/tiny: process {process.pid} on " in errors
    assert "trains into it; wait for it, end it, or give another --model_dir" in errors
    assert contents(folder) == before

    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 75, errors
    saved = re.search(r"SIGTERM: saved after step (\d+) of 10; the same command continues", printed)
    assert (folder / "checkpoints" / f"step-{saved[1]}.json").exists()
    assert not (folder / "genotype.json").exists()

    status, printed, errors = run(tmp_path, *train)
    assert status == 0, errors
    assert f"continuing after step {saved[1]} of 10" in printed
    assert "epoch 2/2: loss" in printed
    assert "done: results are in runs/tiny" in printed
    assert (folder / "genotype.json").exists()


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
