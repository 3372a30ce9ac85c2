"""The benchmark of the final network's training step."""

import io
import json
import sys

from auto_deeplab.search_space import Genotype
from benchmarks.workers import training_step
from tests.helpers import assert_user_error, run_command


def test_a_worker_trains_when_told_to(monkeypatch, capsys):
    from auto_deeplab.models.final.network import build_network

    published = Genotype.load("published")
    small = Genotype("small", (4, 8), published.cell[:1])
    monkeypatch.setattr(training_step, "build", lambda name: build_network(small, 19, filters=4))
    monkeypatch.setattr(sys, "stdin", io.StringIO("run\nrun\nend\n"))
    training_step.main("S", crop=33, batch=2, jit_compile=False)
    first, *runs, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(runs) == 2
    assert all(0 < run["seconds"] < first["first_step_seconds"] for run in runs)
    assert end["peak_megabytes"] >= first["megabytes_before"] > 100
    assert end["multiply_adds"] > end["parameters"] > 0


def test_wrong_flags_are_user_errors():
    done = run_command("benchmarks.training_step", "--models=XL")
    assert_user_error(done, "--models: received 'XL'; did you mean L?")
