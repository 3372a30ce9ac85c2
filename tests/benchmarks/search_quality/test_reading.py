"""What is printed and drawn of a table, and of a supernet's ranking of it."""

import numpy as np
import pytest
import tf_keras
from matplotlib.collections import PathCollection

from auto_deeplab.data.pipeline import open_records
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.training.shared_weights import evaluate_with_shared_weights
from auto_deeplab.training.trained import Trained
from benchmarks.search_quality import ranking
from benchmarks.search_quality.figure import table_figure
from benchmarks.search_quality.pilot import show_spreads
from benchmarks.search_quality.reading import load_methods, show_comparison
from benchmarks.search_quality.setting import TabularBenchmark, plan
from benchmarks.search_quality.shared_folder import SharedFolder
from tests.benchmarks.search_quality.tables import (
    BLOCKS,
    LAYERS,
    OPERATIONS,
    STRIDES,
    make_table,
)
from tests.datasets import png_example, write_dataset


@pytest.fixture
def table():
    return make_table([0.1, 0.5, 0.7, 0.8])


def test_a_comparison_prints_the_figures(table, tmp_path, capsys):
    table.save(tmp_path / "table.jsonl")
    make_table([0.9, 0.5], "mine", search_seconds=3.0).save(tmp_path / "mine.jsonl")
    show_comparison(tmp_path / "table.jsonl", [tmp_path / "mine.jsonl"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "4 random networks: mean IOU 52.50% on average, 10.00% to 80.00%" in printed
    assert "mine, 2 searches" in printed
    assert "mean IOU 70.00% (50.00% to 90.00%)" in printed
    assert "percentile 69 (38 to 100)" in printed
    assert "regret 10.00 points" in printed
    # Two trainings of 2 seconds are the least that cost 3.
    assert "best of 2 random 71.67% (" in printed
    assert "beats it 54%" in printed


def test_methods_that_were_trained_in_another_way_are_refused(table, tmp_path):
    other = make_table([0.9], "mine", search_seconds=1.0)
    other.header.setting["values"] = {"Retrain.steps": "3"}
    other.save(tmp_path / "other.jsonl")
    with pytest.raises(UserError, match=r"setting.values is not that of the table"):
        load_methods(table, [tmp_path / "other.jsonl"])
    table.save(tmp_path / "table.jsonl")
    with pytest.raises(UserError, match="does not say what a search cost"):
        load_methods(table, [tmp_path / "table.jsonl"])


def test_a_figure_has_a_point_for_each_network(table):
    method = make_table([0.9, 0.5], "mine", search_seconds=1.0)
    costs, ranks = table_figure(table, [method]).axes
    points = [
        collection.get_offsets()
        for collection in costs.collections
        if isinstance(collection, PathCollection)
    ]
    assert [len(each) for each in points] == [4, 2]
    np.testing.assert_allclose(points[1][:, 1], [0.9, 0.5])
    np.testing.assert_allclose(points[0][:, 0], [41, 42, 43, 44])
    (steps,) = ranks.lines
    np.testing.assert_allclose(steps.get_xdata(), [12.5, 37.5, 62.5, 87.5])
    (places,) = ranks.collections
    np.testing.assert_allclose(places.get_offsets(), [[100, 0.9], [37.5, 0.5]])


def test_a_pilot_prints_the_spreads(tmp_path, capsys):
    folder = SharedFolder(tmp_path)
    settings = TabularBenchmark(layers=1, blocks=1)
    planned = plan([settings.genotype(1), settings.genotype(2)], 2)
    for training, mean_iou in zip(planned, (0.1, 0.3, 0.12, 0.34), strict=True):
        # Half-way all are as good.
        curve = [{"step": 75, "mean_iou": 0.25}, {"step": 150, "mean_iou": mean_iou}]
        result = {"training": {"curve": curve, "cpu_seconds": 7.0}}
        folder.write_result(training.key, result)
    show_spreads({150: folder}, planned)
    *_, half_way, end, _ = capsys.readouterr().out.splitlines()
    assert "75 of 150" in half_way
    assert "25.00%" in half_way
    # Means of 11 and 32 points by architecture, of 20 and 23 by seed; half a point is left of each.
    figures = [cell.strip() for cell in end.strip("│").split("│")]
    expected = [f"{np.sqrt(220.5 - 1 / 2):.2f}", "1.00", f"{np.sqrt(4.5 - 1 / 2):.2f}"]
    assert figures[:5] == ["150", "21.50%", *expected]
    assert figures[5].startswith("14.83 (")
    assert figures[6:] == ["1.00", "7"]


@pytest.fixture
def trained(tmp_path):
    """A supernet with random weights, and images of the halves black and white."""
    label = np.zeros((33, 49), np.uint8)
    label[:, 20:] = 1
    image = np.repeat(label[..., None] * 255, 3, axis=2)
    examples = [png_example("a.png", image, label), png_example("b.png", image[::-1], label)]
    folder = write_dataset(tmp_path / "halves", "halves", {"val": examples}, ["black", "white"])
    tf_keras.utils.set_random_seed(1)
    supernet = Supernet(2, LAYERS, STRIDES, BLOCKS, filters=4, operations=OPERATIONS)
    description = open_records(folder, "val").description
    return Trained(supernet, description, None, 1, str(folder))


def test_a_ranking_compares_shared_weights_with_trainings(trained, tmp_path, monkeypatch, capsys):
    table = make_table([0.1, 0.2, 0.3, 0.4, 0.5])
    scores = [
        evaluate_with_shared_weights(
            trained.model, entry.genotype, open_records(trained.dataset_dir, "val")
        ).mean_iou
        for entry in table.entries
    ]
    assert len(set(scores)) > 2
    # The trainings agree with the supernet on every pair.
    for entry, score in zip(table.entries, scores, strict=True):
        entry.trainings[0] = entry.trainings[0].model_copy(update={"mean_iou": score})
    table.save(tmp_path / "table.jsonl")
    monkeypatch.setattr(ranking, "load_trained", lambda *_, **__: trained)
    found = ranking.show_ranking(tmp_path / "table.jsonl", "search", count=5)
    assert found.tau == pytest.approx(1)
    assert "Kendall's tau 1.00" in capsys.readouterr().out


def test_a_search_on_other_data_ranks_nothing(trained, tmp_path, monkeypatch):
    table = make_table([0.1, 0.2, 0.3])
    table.header.setting["dataset"] = {"name": "other"}
    table.save(tmp_path / "table.jsonl")
    monkeypatch.setattr(ranking, "load_trained", lambda *_, **__: trained)
    with pytest.raises(UserError, match="expected the dataset of the table, 'other'"):
        ranking.show_ranking(tmp_path / "table.jsonl", "search", count=3)


def test_a_sample_is_spread_over_the_table():
    table = make_table([number / 10 for number in range(10)])
    names = [entry.name for entry in ranking.ranking_sample(table, 5)]
    assert names == ["table_1", "table_3", "table_5", "table_7", "table_9"]
    assert len(ranking.ranking_sample(table, 30)) == 10
