import numpy as np
import pytest

from auto_deeplab.runs.run import find_runs
from auto_deeplab.visualization.curves import draw_curves, draw_trials


def labels_of(axes):
    return axes.get_legend_handles_labels()[1]


def test_trials_have_their_mean_and_their_range(make_search):
    values = [(0.1, 0.2, 0.6), (0.3, 0.3, 0.3), (0.2, 0.4)]
    folders = [make_search(f"seed_{i}", value, seed=i) for i, value in enumerate(values)]
    (axes,) = draw_trials([find_runs(folders)], ["ours"]).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    # The third trial has no third epoch (yet), so mean and range end before it.
    assert lines["mean of ours"] == pytest.approx(np.array([[1, 0.2], [2, 0.3]]))
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in np.round(band, 6)} == {(1, 0.1), (1, 0.3), (2, 0.2), (2, 0.4)}
    drawn = [list(line.get_ydata()) for line in axes.lines]
    assert all(list(value) in drawn for value in values)
    (warm_up,) = [line for line in axes.lines if "searched" in str(line.get_label())]
    assert warm_up.get_xdata() == [1, 1]


def test_a_search_alone_has_a_curve_and_no_range(make_search):
    (axes,) = draw_trials([find_runs([make_search("search")])], ["ours"]).axes
    assert labels_of(axes)[0] == "ours"
    assert not axes.collections


def test_nothing_is_drawn_of_nothing(make_search):
    folder = make_search("search")
    (folder / "metrics.jsonl").unlink()
    runs = find_runs([folder])
    assert draw_trials([runs], ["ours"]) is None
    assert draw_curves(runs, {"loss": "loss"}, "loss") is None


def test_curves_of_several_runs(make_search, make_training):
    runs = find_runs([make_search("search"), make_training("training")])
    (axes,) = draw_curves(runs, {"loss": "w", "architecture_loss": "a"}, "loss").axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines == {
        "search: w": [[10, 2], [20, 1], [30, 2 / 3]],
        "search: a": [[10, 3], [20, 1.5], [30, 1]],
        "training: w": [[10, 1.5], [20, 1]],
    }
    assert len({line.get_color() for line in axes.lines}) == 2


def test_curves_that_runs_share_are_drawn_once(make_search):
    runs = find_runs([make_search("a"), make_search("b", seed=1)])
    (axes,) = draw_curves(runs, {"learning_rate": "weights"}, "learning rate").axes
    assert len(axes.lines) == 1
    assert labels_of(axes) == []
