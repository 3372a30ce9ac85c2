"""The train command, each run a process as a user starts it."""

import re
import signal
import time

import pytest

from tests.helpers import TINY_SEARCH, RunningPython, contents, run_python, run_without_slow_imports

SEARCH = (
    TINY_SEARCH
    + """
Search.epochs = 2
Search.warm_up_epochs = 1
Search.batch_size = 1
Search.checkpoint_minutes = 0
Supernet.layers = 2
Supernet.strides = (4, 8)
Supernet.operations = ("skip", "sep_conv_3x3")
"""
)


@pytest.fixture
def gin_file(colored_dataset, tmp_path):
    path = tmp_path / "tiny.gin"
    path.write_text(SEARCH.format(dataset=colored_dataset))
    return path


def test_one_process_trains_into_a_folder_and_sigterm_ends_it_with_75(gin_file, tmp_path):
    train = ["-m", "auto_deeplab.train", "--gin_file=tiny.gin"]
    folder = tmp_path / "runs" / "tiny"
    with RunningPython(*train, cwd=tmp_path) as process:
        while not (folder / "checkpoints" / "step-1.json").exists():
            assert process.poll() is None, process.printed()
            time.sleep(0.005)
        process.send_signal(signal.SIGSTOP)
        before = contents(folder)
        refused = run_python(*train, cwd=tmp_path)
        assert refused.returncode == 1
        assert f"error: runs/tiny: process {process.pid} on " in refused.stderr
        assert "trains into it; wait for it, end it, or give another --model_dir" in refused.stderr
        assert contents(folder) == before

        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        ended = process.finish()
        assert ended.returncode == 75, ended.stderr
    saved = re.search(
        r"SIGTERM: saved after step (\d+) of 10; the same command continues", ended.stdout
    )
    assert (folder / "checkpoints" / f"step-{saved[1]}.json").exists()
    assert not (folder / "genotype.json").exists()

    done = run_python(*train, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"continuing after step {saved[1]} of 10" in done.stdout
    assert "epoch 2/2: loss" in done.stdout
    assert "done: results are in runs/tiny" in done.stdout
    assert (folder / "genotype.json").exists()


def test_a_mistyped_file_is_reported_before_tensorflow_is_loaded(tmp_path):
    done = run_without_slow_imports("auto_deeplab.train", "--gin_file=serch.gin", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: --gin_file: received 'serch.gin', which is neither a file nor one of those in"
    )
    assert "did you mean search.gin" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
