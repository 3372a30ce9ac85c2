import fcntl
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
    with first.locked():
        first.keep_config("Search.epochs = 3\n")
        with pytest.raises(UserError, match=refusal), second.locked():
            pass
    # What is left of the first is a name without a lock.
    assert first.lock.is_file()
    with second.locked():
        pass


def test_a_training_that_fails_before_it_begins_leaves_nothing(tmp_path):
    model_dir = ModelDir(tmp_path / "runs" / "run")

    def fail():
        with model_dir.locked():
            model_dir.genotype.write_text("{}")
            raise UserError("no dataset")

    with pytest.raises(UserError, match="no dataset"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_left_as_it_was(tmp_path):
    (tmp_path / "runs" / "other").mkdir(parents=True)
    with ModelDir(tmp_path / "runs" / "run").locked():
        pass
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]

    (tmp_path / "notes.txt").write_text("mine")
    with ModelDir(tmp_path).locked():
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "runs"]


def test_a_training_that_has_begun_is_kept_when_it_fails(tmp_path):
    model_dir = ModelDir(tmp_path / "run")

    def fail():
        with model_dir.locked():
            model_dir.keep_config("Search.epochs = 3\n")
            raise UserError("NaN")

    with pytest.raises(UserError, match="NaN"):
        fail()
    assert sorted(path.name for path in model_dir.path.iterdir()) == ["config.gin", "lock"]


def test_a_lock_that_was_removed_meanwhile_is_not_taken_for_one(tmp_path, monkeypatch):
    """Another process may open the lock of a training that fails before it is removed."""
    model_dir, flock, calls = ModelDir(tmp_path / "run"), fcntl.flock, []

    def remove_first(file, operation):
        if not calls:
            model_dir.lock.unlink()
        calls.append(file)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with model_dir.locked():
        assert len(calls) == 2
        assert model_dir.lock.is_file()
