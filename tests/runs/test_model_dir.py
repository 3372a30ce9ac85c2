import fcntl
import json
import os

import pytest

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.model_dir import ModelDir


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
    assert "give another model_dir, or" in message
    assert model_dir.config.read_text() == "Search.epochs = 3\nSearch.seed = 0\n"


def test_a_run_may_be_older_than_a_parameter(tmp_path):
    model_dir = ModelDir(tmp_path)
    model_dir.keep_config("Search.epochs = 3\nSearch.optimizer = @SGD\n")
    newer = (
        "# With another comment, and in another order.\n"
        "Search.optimizer = @SGD\nSearch.aligned = True\nSearch.epochs = 3\n"
    )
    for changed in (
        newer.replace("epochs = 3", "epochs = 4"),
        newer.replace("@SGD", "@Adam"),
        newer.replace("Search.epochs = 3\n", ""),
    ):
        with pytest.raises(UserError, match="another configuration"):
            model_dir.keep_config(changed)
    model_dir.keep_config(newer)
    assert model_dir.config.read_text() == newer
    with pytest.raises(UserError, match=r"-Search\.aligned = True"):
        model_dir.keep_config(newer.replace("True", "False"))


def test_metrics_have_each_epoch_once(tmp_path):
    model_dir = ModelDir(tmp_path / "run")
    assert model_dir.read_metrics() == []
    for epoch, loss in ((1, 0.5), (2, 0.4), (3, 0.3), (2, 0.45)):
        model_dir.append_metrics({"epoch": epoch, "step": 10 * epoch, "loss": loss})
    assert model_dir.read_metrics() == [
        {"epoch": 1, "step": 10, "loss": 0.5},
        {"epoch": 2, "step": 20, "loss": 0.45},
    ]
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
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "step": 10}\n{"epo\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2: received .*; expected JSON"):
        ModelDir(tmp_path).read_metrics()


METRICS = '{"epoch": 1, "step": 10, "loss": 0.5}\n'
SESSION = json.dumps(
    {"started": "2026-01-31T12:00:00+00:00", "step": 0, "packages": {"a": "1"}, "devices": ["b"]}
)
WRONG_FILES = {
    "metrics.jsonl": [
        ("[]", "line 1: received"),
        ("{}", "line 1: epoch: received None; the field is missing"),
        (METRICS + "[" * 100_000, "line 2: received .*; expected JSON of at most 64 levels"),
        ('{"epoch": 1, "step": ' + "9" * 5000 + "}", "line 1: step: received '99"),
        ('{"epoch": 1, "step": 9223372036854775808}', "line 1: step: received 9223372036854775808"),
        ('{"epoch": 1, "step": 10, "loss": "low"}', "line 1: loss: received 'low'"),
        ('{"epoch": 1, "step": 10, "loss": 1e300}', r"line 1: loss: received 1e\+300"),
        ('{"epoch": 1.5, "step": 10}', r"line 1: epoch: received 1\.5"),
        (METRICS + METRICS, "line 2: epoch: received 1; expected more than 1"),
        (b"\xff\xfe", "expected UTF-8 text"),
        ("folder", "metrics.jsonl: cannot be read: Is a directory"),
    ],
    "sessions.jsonl": [
        ("{}", "line 1: started: received None; the field is missing"),
        (SESSION.replace('{"a": "1"}', "[]"), r"line 1: packages: received \[\]"),
        (SESSION.replace("2026-01-31", "31.1."), "line 1: started: received '31.1.*a time such as"),
        (f"{SESSION}\n{SESSION}x", "line 2: received .*; expected JSON"),
    ],
    "architecture.jsonl": [("[]", r"line 1: received \[\]; expected an object")],
    "tensorboard": [("", "tensorboard: received a file; expected a folder")],
    "checkpoints": [("", "checkpoints: received a file; expected a folder")],
    "genotype.json": [("folder", "genotype.json: received a folder; expected a file")],
    "dataset.json": [("folder", "dataset.json: received a folder; expected a file")],
}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [(name, *case) for name, cases in WRONG_FILES.items() for case in cases],
)
def test_a_training_does_not_begin_over_a_file_that_would_end_it(tmp_path, name, content, message):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    begun = []
    with pytest.raises(UserError, match=message) as error, ModelDir(tmp_path).locked():
        begun.append(True)
    assert not begun
    assert str(error.value).startswith(str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_what_earlier_versions_wrote_is_read(tmp_path):
    """They had NaN for figures that do not exist, and no number of replicas."""
    (tmp_path / "metrics.jsonl").write_text(METRICS.replace("0.5", "NaN"))
    (tmp_path / "sessions.jsonl").write_text(SESSION + "\n")
    model_dir = ModelDir(tmp_path)
    assert model_dir.read_metrics() == [{"epoch": 1, "step": 10, "loss": None}]
    model_dir.append_metrics({"epoch": 2, "step": 20, "loss": 0.25})
    assert "NaN" not in model_dir.metrics.read_text()
    model_dir.append_session(20, ["a GPU"])
    assert [session["step"] for session in model_dir.read_sessions()] == [0, 20]


def test_a_figure_that_does_not_exist_is_null(tmp_path, caplog):
    model_dir = ModelDir(tmp_path)
    model_dir.append_metrics({"epoch": 1, "step": 10, "val_mean_iou": float("nan")})
    line = json.loads(model_dir.metrics.read_text())
    assert line == {"epoch": 1, "step": 10, "val_mean_iou": None}
    assert "metrics.jsonl: not finite, written as null: val_mean_iou" in caplog.text
    assert model_dir.read_metrics() == [line]


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
