"""What the flags may say, and what becomes of them."""

import json
import socket

import pytest
import tensorflow as tf

from auto_deeplab.command_line.distribution_flags import flags_of
from auto_deeplab.distribution.settings import Distribution
from auto_deeplab.distribution.strategy import make_strategy
from auto_deeplab.foundations.errors import UserError
from tests.helpers import run_python, run_without_slow_imports


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mirorred"}, "distribution: received 'mirorred'; did you mean mirrored"),
        ({"name": "8"}, "distribution: received '8'; known: mirrored, multi_worker, none, tpu"),
        (
            {"name": "mirrored", "tpu": "local"},
            "tpu='local': received distribution='mirrored'; expected distribution='tpu', or no tpu",
        ),
        (
            {"logical_cpus": 2},
            "logical_cpus=2: received distribution='none'; expected distribution='mirrored'",
        ),
        (
            {"name": "tpu"},
            "tpu: received nothing with distribution='tpu'; expected the TPU's name",
        ),
    ],
)
def test_what_does_not_go_together_is_told(arguments, message):
    with pytest.raises(UserError) as refusal:
        Distribution(**arguments)
    assert str(refusal.value).startswith(message)


def test_the_flags_are_passed_on_as_they_were_given():
    assert flags_of(Distribution()) == ["--distribution=none"]
    distribution = Distribution("mirrored", logical_cpus=2)
    assert flags_of(distribution) == ["--distribution=mirrored", "--logical_cpus=2"]


def test_of_several_workers_the_first_writes(monkeypatch):
    for index in (0, 1):
        task = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": index}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(task))
        distribution = Distribution("multi_worker")
        assert distribution.cluster.index == index
        assert distribution.is_chief == (index == 0)
    assert Distribution().is_chief


def test_without_a_tpu_the_message_says_what_was_looked_for(tmp_path):
    # In a fresh process: one that has run operations waits a minute for what does not answer.
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"grpc://127.0.0.1:{unused.getsockname()[1]}"
        for tpu in ("local", closed):
            flags = ("--gin_file=search.gin", "--distribution=tpu", f"--tpu={tpu}")
            done = run_python("-m", "auto_deeplab.train", *flags, cwd=tmp_path)
            assert done.returncode == 1
            assert done.stderr.startswith(f"error: --tpu={tpu}: no TPU answers (")
            assert done.stderr.endswith("docs/cloud_tpu.md\n")


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_without_a_gpu_nothing_is_mirrored_unasked():
    with pytest.raises(UserError, match=r"mirrored': TensorFlow sees no GPU.* or logical_cpus=2"):
        make_strategy(Distribution("mirrored"))


@pytest.mark.parametrize("command", ["train", "trials"])
def test_mistakes_are_told_before_tensorflow_is_loaded(command):
    flags = ("--gin_file=search.gin", "--distribution=multiworker")
    done = run_without_slow_imports(f"auto_deeplab.{command}", *flags)
    assert done.returncode == 1
    assert (
        done.stderr
        == "error: --distribution: received 'multiworker'; did you mean multi_worker, mirrored?\n"
    )
