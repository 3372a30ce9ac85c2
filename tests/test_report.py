"""The report command."""

import json

import pytest

from tests.helpers import run_python


def run(*arguments):
    process = run_python("-m", "auto_deeplab.report", *map(str, arguments))
    return process.returncode, process.stdout, process.stderr


@pytest.fixture
def model_dir(tmp_path):
    folder = tmp_path / "my run"
    folder.mkdir()
    (folder / "config.gin").write_text("configured_job.job = @Retrain()\nRetrain.seed = 3\n")
    line = {"epoch": 1, "step": 5, "loss": 1.0, "seconds_per_step": 1.0, "validation_seconds": 0.0}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def test_a_report_is_written_once(model_dir):
    status, output, error = run(model_dir)
    assert status == 0, error
    assert str(model_dir / "report.html") in output
    assert "<h1>my run</h1>" in (model_dir / "report.html").read_text()
    assert sorted(path.name for path in (model_dir / "report").iterdir()) == [
        "training_loss.png",
        "training_loss.svg",
    ]
    status, _, error = run(model_dir)
    assert status == 1
    assert "report.html: exists already; expected another --output, or --overwrite" in error
    assert run(model_dir, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected MODEL_DIR..."),
        (["a", "b"], "--output: expected the HTML file"),
        (["a"], "a: no such folder"),
        (["a", "--output=page.pdf"], "'page.pdf'; expected a name that ends with .html"),
        (["a", "--images=-1"], "images"),
    ],
)
def test_mistakes_are_told(arguments, message):
    status, _, error = run(*arguments)
    assert status == 1
    assert message in error
    assert "Traceback" not in error
