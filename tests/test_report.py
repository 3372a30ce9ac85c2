"""The report command."""

import functools
import json

import pytest

from tests.helpers import assert_user_error, output_of, run_command

run = functools.partial(run_command, "auto_deeplab.report")


@pytest.fixture
def model_dir(tmp_path):
    folder = tmp_path / "my run"
    folder.mkdir()
    (folder / "config.gin").write_text("configured_job.job = @Retrain()\nRetrain.seed = 3\n")
    line = {"epoch": 1, "step": 5, "loss": 1.0, "seconds_per_step": 1.0, "validation_seconds": 0.0}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def test_a_report_is_written_once(model_dir):
    assert str(model_dir / "report.html") in output_of(run(model_dir))
    assert "<h1>my run</h1>" in (model_dir / "report.html").read_text()
    assert sorted(path.name for path in (model_dir / "report").iterdir()) == [
        "training_loss.png",
        "training_loss.svg",
    ]
    taken = "report.html: exists already; expected another --output, or --overwrite"
    assert_user_error(run(model_dir), taken)
    assert run(model_dir, "--overwrite").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected MODEL_DIR..."),
        (["a", "b"], "--output: received nothing; expected the HTML file"),
        (["a"], "a: no such folder"),
        (["a", "--output=page.pdf"], "'page.pdf'; expected a name that ends with .html"),
        (["a", "--images=-1"], "images"),
    ],
)
def test_mistakes_are_told(arguments, message):
    assert_user_error(run(*arguments), message)
