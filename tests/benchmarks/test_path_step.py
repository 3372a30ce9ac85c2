"""The benchmark of a step by single paths."""

import io
import json
import sys

import pytest

from benchmarks.workers import path_step


@pytest.mark.parametrize("update", ["weights", "arch"])
@pytest.mark.parametrize("model", ["path", "mixture"])
def test_a_worker_updates_when_told_to(monkeypatch, capsys, model, update):
    # The runtime of this process is set already.
    monkeypatch.setattr(path_step, "configure", lambda gin_params: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("run\nrun\nend\n"))
    path_step.main(model, update, batch=2, crop=33, classes=3, layers=2, blocks=1, filters=4)
    first, *runs, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(runs) == 2
    assert all(0 < run["seconds"] < first["first_turn_seconds"] for run in runs)
    assert end["processor_seconds"] > 0
    assert end["steps"] == (10 if model == "path" else 1)
