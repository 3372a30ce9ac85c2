import os

import pytest

from auto_deeplab.errors import UserError
from auto_deeplab.training.model_dir import ModelDir


def test_keeps_the_configuration_of_its_run(tmp_path):
    model_dir = ModelDir(tmp_path / "new" / "run")
    model_dir.keep_config("Search.epochs = 3\nSearch.seed = 0\n")
    assert model_dir.config.read_text() == "Search.epochs = 3\nSearch.seed = 0\n"
    changed = model_dir.config.stat().st_mtime_ns
    model_dir.keep_config("Search.epochs = 3\nSearch.seed = 0\n")
    assert model_dir.config.stat().st_mtime_ns == changed


def test_refuses_another_configuration_and_shows_the_difference(tmp_path):
    model_dir = ModelDir(tmp_path)
    model_dir.keep_config("Search.epochs = 3\nSearch.seed = 0\n")
    with pytest.raises(UserError) as refusal:
        model_dir.keep_config("Search.epochs = 4\nSearch.seed = 0\n")
    message = str(refusal.value)
    assert str(tmp_path) in message
    assert "-Search.epochs = 3" in message
    assert "+Search.epochs = 4" in message
    assert "Search.seed" not in message
    assert "--model_dir" in message
    assert model_dir.config.read_text() == "Search.epochs = 3\nSearch.seed = 0\n"


def test_metrics_have_each_epoch_once(tmp_path):
    model_dir = ModelDir(tmp_path / "run")
    assert model_dir.read_metrics() == []
    for epoch, loss in ((1, 0.5), (2, 0.4), (3, 0.3), (2, 0.45)):
        model_dir.append_metrics({"epoch": epoch, "loss": loss})
    assert model_dir.read_metrics() == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.45}]
    assert [path.name for path in model_dir.path.iterdir()] == ["metrics.jsonl"]


def test_sessions_are_added(tmp_path):
    model_dir = ModelDir(tmp_path / "run")
    assert model_dir.read_sessions() == []
    model_dir.append_session(0, ["4 CPU cores"])
    model_dir.append_session(20, ["a GPU", "a GPU"])
    first, second = model_dir.read_sessions()
    assert (first["step"], second["step"]) == (0, 20)
    assert second["devices"] == ["a GPU", "a GPU"]
    assert first["packages"]["tensorflow"].startswith("2.")
    assert first["started"] <= second["started"]
    assert first["started"].endswith("+00:00")


def test_a_line_that_is_no_json_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2: expected JSON"):
        ModelDir(tmp_path).read_metrics()


def test_a_second_training_is_refused_while_the_first_runs(tmp_path):
    first, second = ModelDir(tmp_path / "run"), ModelDir(tmp_path / "run")
    refusal = rf"process {os.getpid()} on \S+ trains into it"
    with first.locked(), pytest.raises(UserError, match=refusal), second.locked():
        pass
    # What is left of the first is a name without a lock.
    assert first.lock.is_file()
    with second.locked():
        pass
