"""Several searches by one command."""

import functools
import subprocess
import sys

import pytest

from auto_deeplab.runs.run import find_runs, group_trials
from tests.helpers import REPOSITORY, TINY_SEARCH, output_of, run_command

run = functools.partial(run_command, "auto_deeplab.trials")


def test_trials_are_searches_that_differ_in_their_seed_and_can_be_added_to(
    colored_dataset, tmp_path
):
    gin_file = tmp_path / "tiny.gin"
    gin_file.write_text(TINY_SEARCH.format(dataset=colored_dataset))
    trials = tmp_path / "trials"

    wider = "--gin_param=Supernet.filters = 8"

    # A trial is what the training command leaves: a finished one is left alone.
    of_seed = ["--gin_param=Search.seed = 4", f"--model_dir={trials / 'seed_4'}"]
    output_of(run_command("auto_deeplab.train", f"--gin_file={gin_file}", wider, *of_seed))
    first = {
        path: path.read_bytes()
        for path in trials.rglob("*")
        if path.is_file() and path.name != "lock"  # it says who looked last
    }
    assert trials / "seed_4" / "genotype.json" in first

    printed = output_of(
        run(f"--gin_file={gin_file}", "--seeds=4,2", f"--model_dir={trials}", wider)
    )
    assert f"report {trials}" in printed
    assert {path: path.read_bytes() for path in first} == first
    (group,) = group_trials(find_runs([trials]))
    assert [run.config["Search.seed"] for run in group] == ["2", "4"]
    assert [run.config["Supernet.filters"] for run in group] == ["8", "8"]
    for one in group:
        (session,) = one.sessions
        assert session["step"] == 0
        assert session["packages"] == one.packages
        assert one.packages["tensorflow"].startswith("2.")
        assert session["devices"]
        assert len(one.history) == 1


def test_a_trial_that_fails_ends_the_command(tmp_path):
    gin_file = tmp_path / "wrong.gin"
    gin_file.write_text(TINY_SEARCH.format(dataset=tmp_path / "missing"))
    done = run(f"--gin_file={gin_file}", "--seeds=0,1", f"--model_dir={tmp_path / 'trials'}")
    assert done.returncode == 1
    assert "missing', which is no folder" in done.stderr
    assert "the trial of seed 0 ended with status 1" in done.stderr
    assert "seed 1" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds=0,0"], "--seeds: received '0,0'; expected different whole numbers >= 0"),
        (["--seeds=a"], "--seeds: received 'a'"),
        (["--seeds=-1"], "--seeds: received '-1'"),
        (["--seeds="], "--seeds: received ''"),
        (["--gin_param=Search.seed = 3"], "expected the seeds in --seeds"),
    ],
)
def test_mistakes_are_told_before_anything_runs(arguments, message, tmp_path):
    gin_file = tmp_path / "tiny.gin"
    gin_file.write_text(TINY_SEARCH.format(dataset=tmp_path / "missing"))
    done = run(f"--gin_file={gin_file}", f"--model_dir={tmp_path / 'trials'}", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "trial" not in done.stdout


CHILD = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print("ready", flush=True)
time.sleep(60)
"""


def test_sigterm_is_passed_on_and_its_status_comes_back():
    code = "import sys; from auto_deeplab.trials import call; sys.exit(call(sys.argv[1:]))"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, sys.executable, "-c", CHILD],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout.readline() == "ready\n"
    parent.terminate()
    parent.communicate(timeout=30)
    assert parent.returncode == 75
