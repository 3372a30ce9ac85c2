"""The figures of a selection, from what they are given."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.selection import (
    Candidate,
    RungResult,
    SelectionDir,
    best_candidate,
)
from auto_deeplab.visualization.selection import (
    draw_pareto_front,
    draw_rungs,
    of_highest_rung,
    pareto_front,
)


def candidate(number, multiply_adds, *mean_ious, origin="random"):
    return Candidate(
        number=number,
        name=f"{origin}_{number}",
        network=(4, 8),
        cell=((("prev_prev", "skip"), ("prev", "sep_conv_3x3")),),
        origin=origin,
        source="1",
        bracket=0,
        parameters=5,
        multiply_adds=multiply_adds,
        state="running" if mean_ious else "waiting",
        rungs=tuple(
            RungResult(steps=10 * 3**rung, seed=0, mean_iou=each, pixel_accuracy=0.5, seconds=1)
            for rung, each in enumerate(mean_ious)
        ),
    )


CANDIDATES = [
    candidate(0, 3_000_000, 0.2, 0.5),
    candidate(1, 1_000_000, 0.3, 0.4, origin="given"),
    candidate(2, 2_000_000, 0.9),
    candidate(3, 4_000_000, 0.25, 0.45, origin="surrogate"),
    candidate(4, 500_000),
]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=10))
def test_the_front_is_what_nothing_dominates(points):
    candidates = [candidate(n, cost, figure / 10) for n, (cost, figure) in enumerate(points)]
    front = {(each.multiply_adds, each.rungs[0].mean_iou) for each in pareto_front(candidates)}
    expected = {
        (cost, figure / 10)
        for cost, figure in points
        if not any((c <= cost and f > figure) or (c < cost and f >= figure) for c, f in points)
    }
    assert front == expected


def test_only_what_reached_the_highest_rung_is_compared():
    assert [each.number for each in of_highest_rung(CANDIDATES)] == [0, 1, 3]
    assert best_candidate(CANDIDATES).number == 0
    assert of_highest_rung([candidate(0, 1)]) == []
    assert best_candidate([candidate(0, 1)]) is None


def test_each_training_is_a_point_and_longer_ones_are_connected():
    figure = draw_rungs(CANDIDATES)
    (axes,) = figure.axes
    points = np.concatenate([each.get_offsets() for each in axes.collections])
    assert sorted(map(tuple, points.tolist())) == sorted(
        (rung, result.mean_iou) for each in CANDIDATES for rung, result in enumerate(each.rungs)
    )
    lines = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xydata()) > 1]
    assert [[0, 0.2], [1, 0.5]] in lines
    assert len(lines) == 3
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "30"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "given",
        "random",
        "surrogate",
    ]
    figure.canvas.draw()


def test_the_front_is_drawn_through_its_points():
    figure = draw_pareto_front(CANDIDATES)
    (axes,) = figure.axes
    (line,) = axes.lines
    assert line.get_xydata().tolist() == [[1_000_000, 0.4], [3_000_000, 0.5]]
    assert sum(len(each.get_offsets()) for each in axes.collections) == 3
    figure.canvas.draw()


@pytest.mark.parametrize("draw", [draw_rungs, draw_pareto_front])
def test_without_trainings_there_is_nothing_to_draw(draw):
    assert draw([candidate(0, 1)]) is None


def test_candidates_are_read_as_they_were_written(tmp_path):
    folder = SelectionDir(tmp_path)
    assert folder.read_candidates() == []
    folder.write_candidates(CANDIDATES)
    assert folder.read_candidates() == CANDIDATES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"mean_iou": 0.5', '"mean_iou": 1.5'), r"line 1: rungs\[1\].mean_iou: received 1.5"),
        (('"random"', '"luck"'), r"line 1: origin: received 'luck'"),
        (('"network": [4, 8]', '"network": [4, 32]'), r"line 1: network\[1\]: received 32"),
        (('"prev_prev", "skip"', '"prev_prev", "fly"'), r"line 1: cell\[0\]\[0\].op: received"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path, change, message):
    folder = SelectionDir(tmp_path)
    folder.write_candidates(CANDIDATES)
    folder.candidates.write_text(folder.candidates.read_text().replace(*change))
    with pytest.raises(UserError, match=rf"candidates.jsonl, {message}"):
        folder.read_candidates()


def test_the_best_reached_the_highest_rung_whatever_the_order():
    for order in itertools.permutations(CANDIDATES):
        assert best_candidate(order).number == 0
