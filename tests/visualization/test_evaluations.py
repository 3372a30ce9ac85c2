import re

import numpy as np
import pytest

from auto_deeplab.runs.run import find_runs
from auto_deeplab.visualization.evaluations import draw_class_bars, draw_confusion_matrix


def test_bars_are_the_class_ious(make_training):
    folders = [make_training("one"), make_training("two", ((4, 0, 0), (0, 3, 0), (0, 0, 2)))]
    evaluations = [run.evaluations[0] for run in find_runs(folders)]
    figure = draw_class_bars(evaluations, ["one", "two"])
    (axes,) = figure.axes
    one, two = axes.containers
    assert [bar.get_width() for bar in one] == pytest.approx([8 / 15, 5 / 12, 0])
    assert [bar.get_width() for bar in two] == [1, 1, 1]
    assert [text.get_text() for text in axes.texts] == ["53.3", "41.7", "absent"] + ["100.0"] * 3
    assert [text.get_text() for text in figure.legends[0].texts] == [
        "one: mean 47.5%",
        "two: mean 100.0%",
    ]
    figure.canvas.draw()
    boxes = [bar.get_window_extent() for bars in (one, two) for bar in bars if bar.get_width()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_matrix_shows_shares_of_each_label(make_training):
    (run,) = find_runs([make_training("one", ((994, 5, 1), (5, 5, 0), (0, 0, 0)))])
    axes = draw_confusion_matrix(run.evaluations[0]).axes[0]
    shown = axes.images[0].get_array().filled(np.nan)
    assert np.allclose(shown, [[0.994, 0.005, 0.001], [0.5, 0.5, 0], [np.nan] * 3], equal_nan=True)
    written = {
        tuple(map(int, text.get_position()[::-1])): text.get_text()
        for text in axes.texts
        if re.fullmatch(r"\d+", text.get_text())
    }
    assert set(written) == {(0, 0), (1, 0), (1, 1)}
    assert (written[1, 0], written[1, 1]) == ("50", "50")


def test_a_split_without_labels(make_training):
    (run,) = find_runs([make_training("one", np.zeros((3, 3), int))])
    figure = draw_class_bars(run.evaluations, ["one"])
    assert [text.get_text() for text in figure.legends[0].texts] == ["one"]
    draw_confusion_matrix(run.evaluations[0]).canvas.draw()
