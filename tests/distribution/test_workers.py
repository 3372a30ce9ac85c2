"""Two workers on this machine, each a process as a user starts it."""

import json
import os
import re
import signal
import socket
import time

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.foundations import gin_files
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import read_history
from auto_deeplab.training.checkpoints.files import CheckpointFiles
from auto_deeplab.training.job import configured_job
from tests.helpers import TINY_SEARCH, RunningPython
from tests.trainings import newest_values

SEARCH = (
    TINY_SEARCH
    + """
Search.epochs = {epochs}
Search.warm_up_epochs = 1
Search.validation_images = None
Search.validation_every = 2
Search.checkpoint_minutes = 0
Search.architecture_learning_rate = 0.01
Search.network_learning_rate = 0.05
Supernet.strides = (4, 8)
Supernet.operations = ("none", "skip", "sep_conv_3x3")
Supernet.recompute = "none"
Supernet.unroll = True
Supernet.synchronized_batch_norm = True
"""
)
EPOCH_STEPS = 2

# Where an activation is zero but for rounding, ReLU sends the gradient elsewhere.
SMOOTH = """
import runpy
import auto_deeplab
import tensorflow as tf

tf.nn.relu = tf.nn.elu
runpy.run_module("auto_deeplab.train", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def addresses():
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return [f"localhost:{port}" for port in ports]


@pytest.fixture
def start_workers(addresses, tmp_path):
    started = []

    def start():
        workers = []
        for index in range(2):
            task = {"type": "worker", "index": index}
            config = json.dumps({"cluster": {"worker": addresses}, "task": task})
            flags = ["--gin_file=tiny.gin", "--distribution=multi_worker", "--model_dir=run"]
            environment = os.environ | {"TF_CONFIG": config}
            workers.append(RunningPython("-c", SMOOTH, *flags, cwd=tmp_path, env=environment))
        started.extend(workers)
        return workers

    yield start
    for process in started:
        process.kill()


def wait_for_step(folder, step, workers):
    files = CheckpointFiles(folder / "checkpoints")
    while max(files.steps(), default=-1) < step:
        for process in workers:
            assert process.poll() is None, process.printed()
        time.sleep(0.01)


@pytest.fixture
def configure(colored_dataset, tmp_path):
    """Makes the gin file that the workers read; returns how many steps the search has."""

    def write(epochs):
        values = SEARCH.format(dataset=colored_dataset, epochs=epochs)
        (tmp_path / "tiny.gin").write_text(values)
        return EPOCH_STEPS * epochs

    return write


@pytest.fixture
def finish(start_workers, tmp_path, monkeypatch):
    """Lets two workers search to the end, after some steps, which must be that of one process.

    Returns what the chief printed.
    """

    def run(steps):
        done = [process.finish() for process in start_workers()]
        assert [process.returncode for process in done] == [0, 0], done
        assert "2 replicas: of each batch of 2 images a replica gets 1" in done[0].stdout
        assert "epoch" not in done[1].stdout

        monkeypatch.setattr(tf.nn, "relu", tf.nn.elu)
        gin_files.load(str(tmp_path / "tiny.gin"))
        alone = tmp_path / "alone"
        configured_job().train(ModelDir(alone), tf.distribute.get_strategy())
        assert_same_search(tmp_path / "run", alone, steps)
        return done[0].stdout

    return run


def assert_same_search(folder, expected_folder, steps):
    metrics, expected = (ModelDir(path).read_metrics() for path in (folder, expected_folder))
    assert [line["step"] for line in metrics] == [line["step"] for line in expected]
    for line, expected_line in zip(metrics, expected, strict=True):
        assert line.keys() == expected_line.keys()
        for name in ("loss", "architecture_loss", "val_pixel_accuracy", "decoded_pixel_accuracy"):
            if name in line:
                assert line[name] == pytest.approx(expected_line[name], abs=1e-5), line
    history, expected = (
        read_history(path / "architecture.jsonl") for path in (folder, expected_folder)
    )
    for entry, expected_entry in zip(history, expected, strict=True):
        for name in ("alpha", "beta"):
            value, wanted = (getattr(e.relaxation, name) for e in (entry, expected_entry))
            np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-5)
    assert np.abs(wanted).max() > 0.01
    step, values = newest_values(folder)
    expected_step, expected_values = newest_values(expected_folder)
    assert step == expected_step == steps
    assert values.keys() == expected_values.keys()
    for name, value in values.items():
        np.testing.assert_allclose(value, expected_values[name], rtol=1e-3, atol=1e-4, err_msg=name)
    assert (folder / "genotype.json").exists()


def test_two_workers_search_like_one(configure, finish):
    finish(configure(epochs=2))


@pytest.mark.slow
def test_two_workers_survive_a_loss_and_sigterm(start_workers, configure, finish, tmp_path):
    steps = configure(epochs=10)
    folder = tmp_path / "run"

    # One is killed: the other does not wait for it.
    workers = start_workers()
    wait_for_step(folder, 3, workers)
    workers[1].send_signal(signal.SIGKILL)
    left = workers[0].finish(timeout=120)
    assert left.returncode == 75, left.stderr
    assert "worker 0 of 2: another worker does not answer any more" in left.stderr
    lost_after = CheckpointFiles(folder / "checkpoints").steps()[-1]
    assert 3 <= lost_after < steps

    # Both go on; SIGTERM to one lets both save the same step and end.
    workers = start_workers()
    wait_for_step(folder, lost_after + 2, workers)
    workers[1].send_signal(signal.SIGTERM)
    ended = [process.finish() for process in workers]
    assert [process.returncode for process in ended] == [75, 75], ended
    printed = ended[0].stdout
    assert f"continuing after step {lost_after} of {steps}" in printed
    saved = re.search(rf"SIGTERM: saved after step (\d+) of {steps}", printed)
    assert CheckpointFiles(folder / "checkpoints").steps()[-1] == int(saved[1]) < steps

    assert f"continuing after step {saved[1]} of {steps}" in finish(steps)
    assert [s["step"] for s in ModelDir(folder).read_sessions()] == [0, lost_after, int(saved[1])]
