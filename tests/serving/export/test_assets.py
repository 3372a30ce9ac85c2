"""What an exported network says of itself."""

import json

import pytest

from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.evaluation.result import EvaluationResult
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import Genotype
from auto_deeplab.serving.export.assets import collect_metrics, load_description, write_assets
from auto_deeplab.serving.export.options import ExportOptions
from tests.serving.conftest import DESCRIPTION, GENOTYPE


def test_the_files(tmp_path):
    assets = tmp_path / "assets"
    assets.mkdir()
    options = ExportOptions(input_size=(33, 47), scales=(0.5, 1.0), kernel_dtype="float16")
    files = write_assets(assets, DESCRIPTION, GENOTYPE, options, {"step": 3})
    assert [path.name for path in files] == [
        "dataset.json",
        "export.json",
        "genotype.json",
        "metrics.json",
    ]
    assert load_description(tmp_path) == DESCRIPTION
    assert Genotype.load(assets / "genotype.json") == GENOTYPE
    assert json.loads((assets / "metrics.json").read_text())["step"] == 3
    export = json.loads((assets / "export.json").read_text())
    assert export["options"]["input_size"] == [33, 47]
    assert export["options"]["kernel_dtype"] == "float16"
    assert "tensorflow" in export["packages"]


def test_a_network_without_genotype_and_metrics(tmp_path):
    files = write_assets(tmp_path, DESCRIPTION, None, ExportOptions())
    assert [path.name for path in files] == ["dataset.json", "export.json"]


def test_metrics_are_those_of_the_exported_step(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        "".join(json.dumps({"epoch": n, "step": 10 * n, "loss": 1 / n}) + "\n" for n in (1, 2, 3))
    )
    session = {"started": "2026-01-31T12:00:00+00:00", "step": 0, "devices": ["a GPU"]}
    session["packages"] = {"tensorflow": "2"}
    (tmp_path / "sessions.jsonl").write_text(json.dumps(session) + "\n")
    matrix = ConfusionMatrix(1)
    matrix.counts += 1
    for split, step in (("train", 10), ("val", 20)):
        path = tmp_path / f"evaluation_{split}.json"
        EvaluationResult("model", step, "shapes", split, 4, ["road"], matrix).save(path)
    evaluation = json.loads((tmp_path / "evaluation_val.json").read_text())
    assert evaluation.pop("confusion_matrix") == [[1]]
    assert evaluation["mean_iou"] == 1
    assert collect_metrics(tmp_path, 20) == {
        "step": 20,
        "training": {"epoch": 2, "step": 20, "loss": 0.5},
        "evaluations": {"evaluation_val": evaluation},
        "trained_with": {"tensorflow": "2"},
    }
    assert collect_metrics(tmp_path / "empty", 5) == {
        "step": 5,
        "training": None,
        "evaluations": {},
        "trained_with": None,
    }


@pytest.mark.parametrize("text", ["{}", "[]", "[" * 100_000, '{"step": "x"}'])
def test_an_evaluation_that_is_none_is_named(tmp_path, text):
    (tmp_path / "evaluation_val.json").write_text(text)
    with pytest.raises(UserError, match=r"evaluation_val\.json: .*received"):
        collect_metrics(tmp_path, 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": ("class_map", "colored_maps")}, "did you mean colored_map"),
        ({"outputs": ("probabilities",)}, "expected class_map"),
        ({"kernel_dtype": "int8"}, "known: bfloat16, float16, float32"),
        ({"max_pixels": 0}, "max_pixels: received 0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(UserError, match=message):
        ExportOptions(**options)
