"""Trainings that are killed, each a process as a user starts it."""

import json

import pytest

from tests.helpers import run_python

# One run is killed in each of these. A random moment may be after its end; SIGTERM is sent in
# tests/test_train.py.
MOMENTS = ("warm_up", "validation", "switch", "checkpoint")

# Alters one thing at a time in a copy of a training, and prints what is found to differ.
COMPARE = """
import json, shutil, sys
from pathlib import Path

from tools.kill_and_resume import Run

reference = Run(Path(sys.argv[1]))

def edit(name, change):
    def alter(folder):
        path = folder / name
        path.write_bytes(change(path.read_bytes()))
    return alter

def forge(folder):
    files = Run(folder.parent).checkpoints
    notes = files.read(15).notes
    files.note(15, {**notes, "val_mean_iou": notes["val_mean_iou"] + 1e-16})

for alter in (
    lambda folder: None,
    edit("metrics.jsonl", lambda text: text.replace(b'_per_step": 0', b'_per_step": 9')),
    edit("metrics.jsonl", lambda text: text.replace(b'"loss": ', b'"loss": 1')),
    edit("genotype.json", lambda text: text + b" "),
    edit("architecture.jsonl", lambda text: text[:-1]),
    forge,
):
    copy = Path(sys.argv[2])
    shutil.copytree(reference.folder, copy)
    alter(copy / "training")
    print(json.dumps(Run(copy).differences(reference)))
    shutil.rmtree(copy)
"""


@pytest.fixture
def kill_and_resume(run_tool, colored_dataset, tmp_path):
    def run(*flags):
        return run_tool(
            "kill_and_resume",
            f"--gin_param=Search.dataset = '{colored_dataset}'",
            "--gin_param=Search.batch_size = 1",
            "--gin_param=Supernet.layers = 1",
            f"--output_dir={tmp_path / 'runs'}",
            f"--moments={','.join(MOMENTS)}",
            *flags,
        )

    return run


@pytest.mark.slow
def test_a_run_killed_at_each_moment_ends_as_one_that_was_not(kill_and_resume, tmp_path):
    done = kill_and_resume("--runs=1", f"--kills={len(MOMENTS)}")
    assert done.returncode == 0, done.stdout + done.stderr
    for moment in MOMENTS:
        assert f"{moment}: 1 interrupted, 0 were over before" in done.stdout
    assert "1 of 1 ended identically" in done.stdout
    folder = tmp_path / "runs"
    assert sorted(path.name for path in folder.iterdir()) == ["reference", "results.jsonl"]
    # It was not interrupted itself, and the killed one was not compared with nothing.
    reference = folder / "reference" / "training"
    assert len((reference / "sessions.jsonl").read_text().splitlines()) == 1
    assert "configure_runtime.deterministic = True" in (reference / "config.gin").read_text()
    assert len((reference / "metrics.jsonl").read_text().splitlines()) == 3

    compared = run_python("-c", COMPARE, reference.parent, tmp_path / "copy")
    assert compared.returncode == 0, compared.stderr
    *differences, forged = [json.loads(line) for line in compared.stdout.splitlines()]
    assert differences == [[], [], ["metrics.jsonl"], ["genotype.json"], ["architecture.jsonl"]]
    # It may be the best one as well.
    assert "the newest checkpoint" in forged

    # What has been done is not done again, nor mixed with something else.
    again = kill_and_resume("--runs=1", f"--kills={len(MOMENTS)}")
    assert "1 of 1 ended identically" in again.stdout
    other = kill_and_resume("--runs=1", "--kills=1")
    assert other.returncode == 1
    assert "results.jsonl: received the settings" in other.stderr


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--moments=warmup", "--moments: received 'warmup'; did you mean warm_up"),
        ("--kills=5", "--kills: received 5; expected at most one for each of the 4 --moments"),
    ],
)
def test_flags_are_checked_first(kill_and_resume, tmp_path, flag, message):
    done = kill_and_resume(flag)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "runs").exists()
