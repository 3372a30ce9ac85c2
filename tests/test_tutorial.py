"""The tutorial notebook: its cells run, and what is committed of their outputs is small."""

import base64
import json
import shlex

import numpy as np
import pytest

from tests.helpers import REPOSITORY, run_python

NOTEBOOK = REPOSITORY / "docs" / "tutorial.ipynb"
CELLS = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]

# What the test that is not slow replaces, so that each command takes seconds.
SHORTER = {
    "train_images=60, val_images=12": "train_images=8, val_images=2",
    "Search.epochs = 8": "Search.epochs = 2",
    "Search.warm_up_epochs = 3": "Search.warm_up_epochs = 1",
    "Supernet.layers = 4": "Supernet.layers = 2",
    "Supernet.strides = (4, 8, 16)": "Supernet.strides = (4, 8)",
    "Supernet.blocks = 2": "Supernet.blocks = 1\nSupernet.operations = ('skip', 'sep_conv_3x3')",
    "Retrain.steps=90": 'Retrain.steps=2" --gin_param="build_network.filters=4',
}


def run_cell(source: str, variables: dict[str, object]) -> None:
    """Runs a cell as Jupyter does: lines of `!python ...`, which may continue, or else Python."""
    if not source.startswith("!"):
        exec(compile(source, NOTEBOOK.name, "exec"), variables)
        return
    for line in source.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line.removeprefix("!"))
        assert (line[0], program) == ("!", "python"), line
        done = run_python(*arguments, cwd=".")
        assert done.returncode == 0, line + done.stdout + done.stderr


@pytest.mark.parametrize(
    ("shorter", "least_mean_iou"),
    [
        pytest.param(SHORTER, 0.0, id="a few steps"),
        # A network that always answers the most frequent class has 0.05.
        pytest.param({}, 0.2, id="as written", marks=pytest.mark.slow),
    ],
)
def test_the_cells_run_from_photos_to_a_class_map(tmp_path, monkeypatch, shorter, least_mean_iou):
    (tmp_path / "docs").mkdir()
    (tmp_path / "tools").symlink_to(REPOSITORY / "tools")
    monkeypatch.chdir(tmp_path / "docs")
    sources = ["".join(cell["source"]) for cell in CELLS]
    for long, short in shorter.items():
        assert sum(source.count(long) for source in sources) == 1, long
        sources = [source.replace(long, short) for source in sources]

    variables: dict[str, object] = {}
    for source in sources:
        run_cell(source, variables)

    class_map = variables["class_map"]
    assert class_map.shape == (64, 128)
    assert set(np.unique(class_map)) <= set(range(len(variables["CLASSES"])))
    assert variables["names"] == variables["CLASSES"]
    results = tmp_path / "runs" / "tutorial"
    evaluation = json.loads((results / "retrain" / "evaluation_val.json").read_text())
    assert evaluation["mean_iou"] >= least_mean_iou
    photos = list((tmp_path / "datasets/tutorial/photos/val").iterdir())
    assert len(list((results / "predictions").glob("*_overlay.png"))) == len(photos) > 0


def test_the_committed_outputs_have_small_pictures_and_no_errors():
    outputs = [output for cell in CELLS for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    pictures = [output["data"][kind] for output in outputs for kind in output.get("data", ())]
    assert len(pictures) == 4
    assert sum(len(base64.b64decode(picture)) for picture in pictures) < 300_000
