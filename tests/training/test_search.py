"""Whole searches, interrupted and not."""

import json
import os
import shutil
import signal

import gin
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats
from tensorflow.python.summary.summary_iterator import summary_iterator
from tf_keras.optimizers import legacy

from auto_deeplab.data.image_files import encode_png
from auto_deeplab.distribution.workers import Workers
from auto_deeplab.evaluation.inference import ReplicatedPrediction
from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.runs.run import read_run
from auto_deeplab.search_space import Genotype, diagnose, read_history
from auto_deeplab.training.checkpoints.files import CheckpointFiles
from auto_deeplab.training.job import configured_job
from auto_deeplab.training.loop import epochs
from auto_deeplab.training.optimization.partial_update import PartialAdam
from auto_deeplab.training.search_model import SearchModel
from auto_deeplab.training.shared_weights import evaluate_with_shared_weights
from auto_deeplab.training.trained import load_trained
from tests.datasets import write_records
from tests.helpers import TINY_SEARCH
from tests.trainings import gradients_named, newest_values, prepare

EPOCH_STEPS, EPOCHS = 5, 3
WITHIN_EPOCHS = "Search.checkpoint_minutes = 0"


class Interruption(Exception):
    """Stands for whatever ends a process."""


def search(folder):
    model_dir = ModelDir(folder)
    configured_job().train(model_dir, tf.distribute.get_strategy())
    # Nothing was asked for a value later than the values in effect were kept.
    assert model_dir.config.read_text() == gin.operative_config_str()


def contents(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_same_search(folder, other):
    (_, values), (_, expected) = newest_values(folder), newest_values(other)
    assert values.keys() == expected.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    for entry, expected_entry in zip(
        read_history(folder / "architecture.jsonl"),
        read_history(other / "architecture.jsonl"),
        strict=True,
    ):
        assert entry[:2] == expected_entry[:2]
        np.testing.assert_array_equal(entry.relaxation.alpha, expected_entry.relaxation.alpha)
        np.testing.assert_array_equal(entry.relaxation.beta, expected_entry.relaxation.beta)
    genotypes = [Genotype.load(str(run / "genotype.json")) for run in (folder, other)]
    assert genotypes[0].network == genotypes[1].network
    assert genotypes[0].cell == genotypes[1].cell


@pytest.fixture(scope="session")
def searches(tmp_path_factory):
    """Where each test's search goes; the uninterrupted one is made once."""
    return tmp_path_factory.mktemp("searches")


@pytest.fixture
def uninterrupted(searches, configure_search):
    folder = searches / "uninterrupted"
    configure_search(WITHIN_EPOCHS)
    if not folder.exists():
        search(folder)
    return folder


def test_what_a_search_leaves(uninterrupted):
    metrics = ModelDir(uninterrupted).read_metrics()
    assert [(line["epoch"], line["step"]) for line in metrics] == [(1, 5), (2, 10), (3, 15)]
    assert ["architecture_loss" in line for line in metrics] == [False, True, True]
    assert [line["architecture_learning_rate"] for line in metrics] == [0, 0.02, 0.02]
    last_step = 0.001 + (0.05 - 0.001) * (1 + np.cos(np.pi * 14 / 15)) / 2
    assert metrics[-1]["learning_rate"] == pytest.approx(last_step, rel=1e-4)
    assert all(0 < line["val_mean_iou"] <= line["val_pixel_accuracy"] <= 1 for line in metrics)
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    # Initial values are 1e-3 times normal ones, and nothing has moved them in the warm-up.
    assert metrics[0]["alpha_entropy"] == pytest.approx(1, abs=1e-5)
    assert metrics[-1]["alpha_entropy"] < metrics[0]["alpha_entropy"]

    history = read_history(uninterrupted / "architecture.jsonl")
    assert [(entry.epoch, entry.step) for entry in history] == [(1, 5), (2, 10), (3, 15)]
    for line, entry in zip(metrics, history, strict=True):
        figures = diagnose(entry.relaxation).figures()
        assert len(figures) == 6
        assert {name: line[name] for name in figures} == figures
    warm, moved, end = (entry.relaxation for entry in history)
    # 5 steps of Adam move a value by about 5 times the rate.
    assert np.abs(warm.alpha).max() < 0.01 < np.abs(moved.alpha - warm.alpha).max() < 0.11
    assert np.abs(end.beta - warm.beta).max() > 0.01
    genotype = Genotype.load(str(uninterrupted / "genotype.json"))
    decoded = end.decode("x")
    assert (genotype.network, genotype.cell) == (decoded.network, decoded.cell)
    assert "Search.epochs = 3" in (uninterrupted / "config.gin").read_text()
    # The newest of those within the epoch are kept beside the one of its end, and the best.
    files = CheckpointFiles(uninterrupted / "checkpoints")
    best = max(metrics, key=lambda line: line["val_mean_iou"])
    assert files.steps() == sorted({best["step"], 13, 14, 15})
    assert files.best().notes == {"val_mean_iou": best["val_mean_iou"]}


def test_tensorboard_logs(uninterrupted):
    tags = {}
    for file in (uninterrupted / "tensorboard").iterdir():
        for event in summary_iterator(str(file)):
            for value in event.summary.value:
                tags.setdefault(value.tag, []).append(event.step)
    tags_of_each = (
        "loss",
        "val_mean_iou",
        "skip_weight",
        "architecture/alpha",
        "architecture/beta",
    )
    for tag in tags_of_each:
        assert {5, 10, 15} <= set(tags[tag]), tag
    assert tags["step/loss"] == [10]
    assert set(tags["learning_rate"]) == {5, 10, 15}


def test_a_finished_search_is_left_alone(uninterrupted):
    before = contents(uninterrupted)
    search(uninterrupted)
    assert contents(uninterrupted) == before


def test_an_interrupted_search_ends_as_if_it_had_not_been(
    uninterrupted, searches, configure_search, monkeypatch
):
    """SIGTERM ends it in the warm-up and in the last epoch, an error in the last validation."""
    folder = searches / "interrupted"
    train_step = SearchModel.train_step

    def ask_to_end_in(step):
        def asking_step(self, data):
            logs = train_step(self, data)
            if self.network_optimizer.iterations == step:
                os.kill(os.getpid(), signal.SIGTERM)
            return logs

        return asking_step

    for step in (3, 12):
        configure_search()
        with monkeypatch.context() as patch:
            patch.setattr(SearchModel, "train_step", ask_to_end_in(step))
            with pytest.raises(SystemExit) as end:
                search(folder)
        assert end.value.code == 75
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert CheckpointFiles(folder / "checkpoints").steps()[-1] == step
    assert len(ModelDir(folder).read_metrics()) == 2

    def fail(self, *arguments):
        raise Interruption

    configure_search()
    with monkeypatch.context() as patch:
        patch.setattr(epochs.Validation, "measure", fail)
        with pytest.raises(Interruption):
            search(folder)
    assert not (folder / "genotype.json").exists()

    configure_search()
    search(folder)
    assert_same_search(folder, uninterrupted)
    assert [line["epoch"] for line in ModelDir(folder).read_metrics()] == [1, 2, 3]
    assert len((folder / "architecture.jsonl").read_text().splitlines()) == EPOCHS
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == EPOCHS
    expected, metrics = (
        [
            {name: value for name, value in line.items() if "seconds" not in name}
            for line in ModelDir(run).read_metrics()
        ]
        for run in (uninterrupted, folder)
    )
    assert metrics == expected


def test_another_configuration_is_refused(uninterrupted, configure_search):
    before = contents(uninterrupted)
    configure_search(WITHIN_EPOCHS, "Search.batch_size = 2")
    with pytest.raises(UserError) as refusal:
        search(uninterrupted)
    assert "-Search.batch_size = 1\n+Search.batch_size = 2" in str(refusal.value)
    assert contents(uninterrupted) == before


def test_the_supernet_is_loaded_as_it_was_trained(uninterrupted, colored_dataset):
    trained = load_trained(uninterrupted)
    assert trained.step == EPOCHS * EPOCH_STEPS
    assert trained.genotype is None
    assert trained.dataset_dir == str(colored_dataset)
    assert trained.description.classes == ("red", "green", "blue")
    assert trained.description.splits == {"train": 9, "val": 2}

    _, values = newest_values(uninterrupted)
    last = read_history(uninterrupted / "architecture.jsonl")[-1].relaxation
    np.testing.assert_array_equal(trained.model.alpha, last.alpha.astype(np.float32))
    np.testing.assert_array_equal(trained.model.beta, last.beta.astype(np.float32))
    stored = sum(
        v.size for name, v in values.items() if name.startswith("model/") and "SLOT" not in name
    )
    assert stored == sum(v.numpy().size for v in trained.model.weights)

    validation = epochs.Validation(
        epochs.SegmentationRecords(trained.dataset_dir, "val"), batch_size=1, limit=None, every=1
    )
    metrics = ModelDir(uninterrupted).read_metrics()
    best = max(metrics, key=lambda line: line["val_mean_iou"])
    for loaded, line in ((trained, metrics[-1]), (load_trained(uninterrupted, "best"), best)):
        assert loaded.step == line["step"]
        measured = validation.measure(
            ReplicatedPrediction(loaded.model), Workers(tf.distribute.get_strategy())
        )
        # Beside the mixture, what would be decoded of it.
        genotype = loaded.model.relaxation().decode("decoded")
        matrix = evaluate_with_shared_weights(
            loaded.model, genotype, validation.records, validation.batch_size
        )
        measured |= {
            "decoded_mean_iou": matrix.mean_iou,
            "decoded_pixel_accuracy": matrix.pixel_accuracy,
        }
        for name, value in measured.items():
            assert value == line[name], name


def test_a_validation_without_labels_that_count_has_null_for_a_score(
    colored_dataset, tmp_path, caplog
):
    dataset = tmp_path / "unlabeled"
    shutil.copytree(colored_dataset, dataset)
    (shard,) = dataset.glob("val*")
    records = tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()
    examples = [tf.train.Example.FromString(record) for record in records]
    for example in examples:
        label = example.features.feature["image/segmentation/class/encoded"]
        label.bytes_list.value[:] = [encode_png(np.full((36, 44), 255, np.uint8))]
    write_records(shard, (example.SerializeToString() for example in examples))
    (tmp_path / "tiny.gin").write_text(TINY_SEARCH.format(dataset=dataset))
    gin_files.load(str(tmp_path / "tiny.gin"))
    search(tmp_path / "run")
    for of in ("val", "decoded"):
        assert caplog.text.count(f"{of}_mean_iou and {of}_pixel_accuracy are null") == 1
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    line = json.loads(text, parse_constant=pytest.fail)
    for of in ("val", "decoded"):
        assert (line[f"{of}_mean_iou"], line[f"{of}_pixel_accuracy"]) == (None, None)
    files = CheckpointFiles(tmp_path / "run" / "checkpoints")
    assert files.verify(line["step"]).notes == {"val_mean_iou": None}
    assert files.best() is None
    assert read_run(tmp_path / "run", "run").series("val_mean_iou") == ([], [])


def test_warm_up_may_not_be_longer_than_the_search(configure_search):
    configure_search("Search.warm_up_epochs = 4")
    with pytest.raises(UserError, match=r"Search\.warm_up_epochs: received 4; expected 0 to"):
        configured_job()


def test_a_split_too_small_for_a_batch(configure_search, tmp_path):
    configure_search("Search.batch_size = 6")
    with pytest.raises(UserError, match="batch_size: received 6; expected at most 5"):
        search(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_limit_of_skips_that_no_cell_can_keep_to(configure_search, tmp_path):
    configure_search("Supernet.operations = ('none', 'skip')", "Search.most_skips = 1")
    with pytest.raises(UserError, match="most_skips: received 1; expected at least 2"):
        search(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_follows_a_schedule_goes_on_where_it_was(
    uninterrupted, searches, configure_search, monkeypatch
):
    """All that can change from step to step, in a search that a loss of NaN ends in its middle.

    Whatever changes is constant in the warm-up. It reaches functions that are built once, and the
    temperature is in what is kept and decoded.
    """
    traced, seen = [], []
    for half in ("update_network", "update_architecture"):
        original = getattr(SearchModel, half)

        def noted(self, images, labels, half=half, original=original):
            traced.append(half)
            return original(self, images, labels)

        monkeypatch.setattr(SearchModel, half, noted)
    train_step = SearchModel.train_step

    def noting_step(self, data):
        if len(seen) == 6:
            kernel = self.supernet.network_variables[0]
            kernel.assign(kernel * np.inf)
        logs = train_step(self, data)
        seen.append([float(self.supernet.auxiliary_skip), float(self.supernet.temperature)])
        return logs

    monkeypatch.setattr(SearchModel, "train_step", noting_step)
    folder = searches / "scheduled"
    # Near its start alpha has a small gradient of entropy, and a large one of logsumexp.
    ends = {
        "auxiliary_skip": (0.9, 0),
        "temperature": (1, 0.05),
        "logsumexp_weight": (0, 1),
        "entropy_weight": (0, 100),
    }
    options = [
        "Search.auxiliary_skip = 0.9",
        "Search.final_temperature = 0.05",
        "Search.logsumexp_weight = 1.0",
        "Search.entropy_weight = 100.0",
    ]
    configure_search(WITHIN_EPOCHS, *options)
    with pytest.raises(UserError) as refusal:
        search(folder)
    message = str(refusal.value)
    assert message.startswith("step 7: loss is nan\nThe checkpoint of step 6 is kept.")
    norms = gradients_named(message)
    assert norms == sorted(norms, reverse=True)
    # The weights are those of step 6: their gradients are finite.
    assert 0 < norms[-1] <= norms[0] < np.inf
    assert CheckpointFiles(folder / "checkpoints").newest()[0].step == 6
    seen.pop()
    supernet = load_trained(folder).model
    assert [float(supernet.auxiliary_skip), float(supernet.temperature)] == seen[-1]
    seen.append(None)
    configure_search(WITHIN_EPOCHS, *options)
    search(folder)
    seen.remove(None)
    assert traced == ["update_network", "update_architecture"] * 2
    expected = {name: np.interp(range(15), [5, 14], values) for name, values in ends.items()}
    in_graphs = [expected["auxiliary_skip"], expected["temperature"]]
    np.testing.assert_allclose(seen, np.stack(in_graphs, axis=1), atol=1e-6)
    metrics = ModelDir(folder).read_metrics()
    for name, values in expected.items():
        assert [line[name] for line in metrics] == pytest.approx(values[4::5])

    supernet = load_trained(folder).model
    assert float(supernet.auxiliary_skip) == 0
    relaxation = read_history(folder / "architecture.jsonl")[-1].relaxation
    alpha = supernet.alpha.numpy()
    np.testing.assert_allclose(relaxation.alpha, alpha / 0.05, rtol=1e-5)
    np.testing.assert_allclose(relaxation.beta, supernet.beta.numpy() / 0.05, rtol=1e-5)
    assert Genotype.load(folder / "genotype.json").cell == relaxation.decode("x").cell

    # What is penalized ends lower.
    unpenalized = read_history(uninterrupted / "architecture.jsonl")[-1].relaxation.alpha
    for measure in (
        lambda alpha: special.logsumexp(alpha, axis=1).mean(),
        lambda alpha: stats.entropy(special.softmax(alpha, 1), axis=1).mean(),
    ):
        assert measure(alpha) < measure(unpenalized)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ((), (0.9, 0.999, 1e-7)),
        (
            (
                "Search.architecture_adam_beta_1 = 0.5",
                "Search.architecture_adam_beta_2 = 0.99",
                "Search.architecture_adam_epsilon = 1e-3",
            ),
            (0.5, 0.99, 1e-3),
        ),
    ],
)
def test_adam_has_the_values_that_it_is_given(
    configure_search, colored_dataset, tmp_path, parameters, expected
):
    configure_search(*parameters)
    training = prepare(tmp_path, colored_dataset)
    values = training.tracked["architecture_optimizer"].get_config()
    assert (values["beta_1"], values["beta_2"], values["epsilon"]) == pytest.approx(expected)


@pytest.mark.parametrize(("name", "optimizer"), [("sgd", legacy.SGD), ("adam", PartialAdam)])
def test_the_weights_have_the_optimizer_that_is_named(
    configure_search, colored_dataset, tmp_path, name, optimizer
):
    configure_search(f"Search.network_optimizer = '{name}'")
    training = prepare(tmp_path, colored_dataset)
    assert type(training.tracked["optimizer"]) is optimizer


def test_schedules_are_those_of_what_is_on(configure_search):
    configure_search()
    assert configured_job().further_schedules(5) == {}
    configure_search("Search.auxiliary_skip = 0.5", "Search.auxiliary_skip_falls_in_warm_up = True")
    (schedule,) = configured_job().further_schedules(5).values()
    assert [schedule(step) for step in (0, 7, 14)] == [0.5, 0.25, 0]
