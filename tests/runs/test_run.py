import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.evaluation.result import EvaluationResult
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.run import differing_values, find_runs, group_trials, parse_config, read_run
from auto_deeplab.visualization.curves import draw_trials


def test_a_configuration_as_gin_writes_it():
    text = (
        "import auto_deeplab.training.search as x\n\n# Parameters for a:\n# =====\n"
        "a.b = 3\nscope/a.c = \\\n    ('none',\n     'skip')\na.d = {'x': 1}\na.e = 'y = z'\n"
    )
    assert {name: repr(value) for name, value in parse_config(text).items()} == {
        "a.b": "3",
        "scope/a.c": "('none', 'skip')",
        "a.d": "{'x': 1}",
        "a.e": "'y = z'",
    }


def test_a_search_is_read(make_search):
    run = read_run(make_search("search", seed=7), "search")
    assert run.is_search
    assert (run.kind, run.seed) == ("search", "7")
    assert [entry.epoch for entry in run.history] == [1, 2, 3]
    assert run.series("val_mean_iou") == ([10, 20, 30], [0.1, 0.2, 0.3])
    # 10 steps an epoch, of 0.5, 1.0 and 1.5 seconds.
    assert run.training_seconds == pytest.approx(30)
    assert run.validation_seconds == pytest.approx(6)
    assert run.relaxation.alpha.tolist() == run.history[-1].relaxation.alpha.tolist()
    # Without sessions the versions are those that the genotype was decoded with.
    assert run.packages == run.genotype.provenance["packages"]


def test_a_training_does_not_take_the_versions_of_the_search(make_search, make_training):
    folder = make_training("training")
    (folder / "genotype.json").write_text((make_search("search") / "genotype.json").read_text())
    assert read_run(folder, "training").packages == {}


def test_the_last_session_tells_the_versions(make_search):
    folder = make_search("search")
    session = {"started": "2026-01-31T12:00:00+00:00", "step": 0, "devices": ["a GPU"]}
    sessions = [session | {"packages": {"numpy": version}} for version in ("1", "2")]
    (folder / "sessions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in sessions))
    assert read_run(folder, "search").packages == {"numpy": "2"}


def test_a_training_and_its_evaluation_are_read(make_training):
    run = read_run(make_training("training"), "training")
    assert not run.is_search
    assert run.series("val_mean_iou") == ([20], [0.4])
    (evaluation,) = run.evaluations
    assert (evaluation.name, evaluation.split, evaluation.images) == ("val", "val", 4)
    # By hand: road 8 / 15, car 5 / 12, sky absent.
    assert evaluation.matrix.mean_iou == pytest.approx((8 / 15 + 5 / 12) / 2)
    assert evaluation.figures["mean_iou"] == pytest.approx((8 / 15 + 5 / 12) / 2)
    assert evaluation.figures["pixel_accuracy"] == pytest.approx(13 / 20)
    assert evaluation.views == "whole images"


def test_a_folder_of_trials_stands_for_them_in_the_order_of_their_numbers(make_search, tmp_path):
    for seed in (10, 9):
        make_search(f"trials/seed_{seed}", seed=seed)
    (tmp_path / "trials" / "notes").mkdir()
    assert [run.name for run in find_runs([tmp_path / "trials"])] == ["seed_9", "seed_10"]


def test_runs_of_one_name_are_told_apart_and_counted_once(make_search, tmp_path):
    folders = [make_search("a/run"), make_search("b/run"), tmp_path / "a" / ".." / "a" / "run"]
    assert [run.name for run in find_runs(folders)] == ["a/run", "b/run"]


def test_what_is_no_run(tmp_path):
    with pytest.raises(UserError, match="missing: no such folder"):
        find_runs([tmp_path / "missing"])
    with pytest.raises(UserError, match=r"neither it nor a folder in it has a config\.gin"):
        find_runs([tmp_path])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r": received \[\]"),
        ("{", ": received '{'; expected JSON"),
        ("{}", ": dataset: received None; the field is missing"),
        ("[" * 100_000, ".*at most 64 levels"),
    ],
)
def test_an_evaluation_that_is_none_is_named(make_training, text, message):
    folder = make_training("training")
    (folder / "evaluation_val.json").write_text(text)
    with pytest.raises(UserError, match=r"evaluation_val\.json" + message):
        find_runs([folder])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("confusion_matrix", [[1, 2], [3, 4]], "confusion_matrix: .*3 rows of 3 numbers"),
        ("confusion_matrix", [[2**62] * 3] * 3, "confusion_matrix: .*at most 2.63 - 1 pixels"),
        ("confusion_matrix", [[0, 0, -1]] * 3, r"confusion_matrix\[0\]\[2\]: received -1"),
        ("confusion_matrix", [[0, 0, 0.5]] * 3, r"confusion_matrix\[0\]\[2\]: received 0\.5"),
        ("classes", [{"name": "road"}, {}, {"name": 3}], r"classes\[1\]\.name: received None"),
        ("classes", [], "classes: received"),
        ("images", 10**30, "images: received 1000"),
        ("step", "x", "step: received 'x'"),
        ("scales", "1", "scales: received '1'"),
        ("window", [65], r"window\[1\]: received None"),
    ],
)
def test_a_wrong_field_of_an_evaluation_is_named(make_training, field, value, message):
    folder = make_training("training")
    path = folder / "evaluation_val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(UserError, match=rf"evaluation_val\.json: {message}"):
        find_runs([folder])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("metrics.jsonl", lambda text: "[]\n", "line 1: received"),
        (
            "metrics.jsonl",
            lambda text: text.replace('"seconds_per_step": 0.5', '"seconds_per_step": null'),
            "line 1: seconds_per_step: received None",
        ),
        ("sessions.jsonl", lambda text: "{}\n", "line 1: started: received None"),
        (
            "genotype.json",
            lambda text: text.replace('"packages": {', '"packages": {"a": 1, '),
            "provenance: packages.a: received 1",
        ),
        (
            "genotype.json",
            lambda text: text.replace('"blocks": 2', '"blocks": 2000000'),
            "provenance.relaxation: CellGraph.blocks: received 2000000",
        ),
        ("config.gin", lambda text: "\udcff", "received b'.xff'; expected UTF-8"),
        ("config.gin", lambda text: "Search.epochs = (3", "expected complete values"),
        ("config.gin", lambda text: "Search.epochs: 3", "Expected newline"),
    ],
)
def test_a_wrong_file_of_a_run_is_named(make_search, name, change, message):
    folder = make_search("search")
    path = folder / name
    text = path.read_text() if path.exists() else ""
    path.write_text(change(text), errors="surrogateescape")
    with pytest.raises(UserError, match=f"{name}.*{message}"):
        find_runs([folder])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from([0, 1, 2, 4, 10**18, 2**63, 10**50, 1e308, "road", "2026-01-31"]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values),
    max_leaves=5,
)  # fmt: skip


def places(value, prefix=()):
    """The keys on the way to every value of a JSON document."""
    children = enumerate(value) if isinstance(value, list) else ()
    for key, child in value.items() if isinstance(value, dict) else children:
        yield (*prefix, key)
        yield from places(child, (*prefix, key))


def test_any_change_to_a_file_of_a_run_is_read_exactly_or_refused_by_name(make_search):
    folder = make_search("search", mean_ious=(0.1, 0.2))
    (folder / "dataset.json").write_text(
        DatasetDescription("x", {"val": 4}, ("road", "car"), ((1, 2, 3), (4, 5, 6))).to_json()
    )
    matrix = ConfusionMatrix(2)
    matrix.counts += 3
    report = EvaluationResult("x", 20, "x", "val", 4, ("road", "car"), matrix)
    report.save(folder / "evaluation_val.json")
    session = {"started": "2026-01-31T12:00:00+00:00", "step": 0, "packages": {"numpy": "2"}}
    (folder / "sessions.jsonl").write_text(json.dumps(session | {"devices": ["a GPU"]}) + "\n")
    contents = {
        path: [json.loads(line) for line in path.read_text().splitlines()]
        if path.suffix == ".jsonl"
        else [json.loads(path.read_text())]
        for path in sorted(folder.glob("*.json*"))
    }
    assert len(contents) == 6

    @settings(deadline=None, max_examples=100)
    @given(st.data())
    def change(data):
        path = data.draw(st.sampled_from(sorted(contents)))
        documents = copy.deepcopy(contents[path])
        part = documents
        *way, last = data.draw(st.sampled_from(list(places(documents))))
        for key in way:
            part = part[key]
        part[last] = data.draw(ANYTHING)
        path.write_text("".join(json.dumps(document) + "\n" for document in documents))
        error = None
        try:
            run = read_run(folder, "search")
            description = DatasetDescription.load(folder)
        except UserError as refusal:
            error = refusal
        if error is not None:
            assert str(error).startswith(str(path))
            assert "\n" not in str(error)
        else:
            # What is read is what is there, and the report can use it.
            now = json.loads(json.dumps(documents), parse_constant=lambda _: None)
            if path.name == "metrics.jsonl":
                assert run.metrics == now
            elif path.name == "sessions.jsonl":
                assert run.sessions == now
            elif path.name == "architecture.jsonl":
                lines = {line["epoch"]: line for line in now}
                assert [entry.epoch for entry in run.history] == sorted(lines)
                for entry in run.history:
                    line = lines[entry.epoch]
                    assert entry.step == line["step"]
                    assert entry.relaxation.alpha.tolist() == np.float64(line["alpha"]).tolist()
                    assert entry.relaxation.beta.tolist() == np.float64(line["beta"]).tolist()
                    assert list(entry.relaxation.trellis.strides) == line["strides"]
            elif path.name == "genotype.json":
                assert json.loads(run.genotype.to_json()) == now[0]
            elif path.name == "dataset.json":
                assert json.loads(description.to_json()) == now[0]
            else:
                assert run.evaluations[0].matrix.counts.tolist() == now[0]["confusion_matrix"]
            assert run.training_seconds >= 0
            assert all(type(version) is str for version in run.packages.values())
            assert run.relaxation is None or run.relaxation.alpha.size
        path.write_text("".join(json.dumps(document) + "\n" for document in contents[path]))

    change()


def test_a_figure_that_does_not_exist_is_left_out_of_the_curve(make_search):
    folder = make_search("search", mean_ious=(0.1, float("nan"), 0.3))
    run = read_run(folder, "search")
    assert run.series("val_mean_iou") == ([10, 30], [0.1, 0.3])
    (line,) = draw_trials([[run]], ["search"]).axes[0].lines[:1]
    assert line.get_xydata().tolist() == [[1, 0.1], [3, 0.3]]


def test_trials_differ_in_their_seed_alone(make_search, make_training):
    folders = [
        make_search("a", seed=0),
        make_search("b", seed=1),
        make_search("deeper", seed=0, layers=4),
        make_training("training"),
    ]
    runs = find_runs(folders)
    names = [[run.name for run in group] for group in group_trials(runs)]
    assert names == [["a", "b"], ["deeper"]]
    assert differing_values(runs[:3]) == {
        "Search.seed": ["0", "1", "0"],
        "Supernet.layers": ["3", "3", "4"],
    }
    assert differing_values(runs[:1]) == {}
    assert differing_values([runs[0], runs[3]])["Retrain.steps"] == [None, "20"]


@pytest.mark.parametrize(
    ("fields", "views"),
    [
        ({"scales": [1.0], "flip": False, "window": None}, "whole images"),
        ({"scales": [0.5, 1.75], "flip": True}, "whole images; scales 0.5, 1.75; mirrored, too"),
        ({"window": [65, 129]}, "65x129 windows"),
    ],
)
def test_how_images_were_predicted(make_training, fields, views):
    folder = make_training("training")
    path = folder / "evaluation_val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    assert read_run(folder, "training").evaluations[0].views == views
