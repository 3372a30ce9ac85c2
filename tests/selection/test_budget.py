"""Budgets against counts by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.selection import Candidate, RungResult
from auto_deeplab.selection.budget import (
    Progress,
    TimeBudget,
    TrainingsBudget,
    covered_seconds,
    parse_time,
    shown_time,
)

STEPS = (10, 30, 90)


def candidate(number, *seconds):
    """One that was trained in as many rungs as there are times."""
    return Candidate(
        number=number,
        name=f"random_{number}",
        network=(4,),
        cell=((("prev_prev", "skip"), ("prev", "skip")),),
        origin="random",
        bracket=0,
        parameters=1,
        multiply_adds=1,
        rungs=tuple(
            RungResult(steps=steps, seed=0, mean_iou=0.5, pixel_accuracy=0.5, seconds=each)
            for steps, each in zip(STEPS, seconds, strict=False)
        ),
    )


def progress(candidates, under_way=(), sessions=()):
    return Progress(candidates, under_way, sessions, STEPS)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3h", 10800), ("90m", 5400), ("2d", 172800), ("1h30m", 5400), ("0.5h", 1800), ("45s", 45)],
)
def test_times_are_read(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "3", "h", "3 h", "-1h", "0m", "1e3s", "3w", "3H", "1h 30m"])
def test_what_is_no_time_is_named(text):
    with pytest.raises(UserError, match=r"budget: received '.*'; expected a time above 0"):
        parse_time(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "1 h 00 min"), (3900, "1 h 05 min")],
)
def test_times_are_shown(seconds, text):
    assert shown_time(seconds) == text


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=8))
def test_seconds_of_several_workers_count_once(sessions):
    intervals = [(start, start + length) for start, length in sessions]
    covered = {second for start, end in intervals for second in range(start, end)}
    assert covered_seconds(intervals) == len(covered)


def test_trainings_are_counted_in_steps():
    # 10 + 40 steps are done and 30 are under way, of 180.
    done = progress([candidate(0, 1), candidate(1, 1, 3)], under_way=[1])
    budget = TrainingsBudget(2)
    assert done.trainings == 50 / 90
    assert budget.affords(done, 2, [])
    assert budget.affords(done, 2, [0])
    assert not budget.affords(done, 2, [0, 0])
    assert not budget.affords(done, 1, [])
    assert TrainingsBudget(2.3).affords(done, 1, [])
    assert budget.shown(done) == "0.556 of 2 trainings"
    # A whole training takes 9 seconds, and 100 of 90 steps are left for two workers.
    assert budget.remaining_seconds(done, 2) == pytest.approx(9 * 100 / 90 / 2)


def test_time_is_what_the_trainings_before_took():
    # A training takes 2 and 5 seconds in the first two rungs, and so 15 in the third.
    done = progress([candidate(0, 1), candidate(1, 3, 5)], sessions=[(100, 120), (110, 130)])
    assert done.elapsed == 30
    assert [done.seconds_of(rung) for rung in range(3)] == [2, 5, 15]
    assert TimeBudget(52).affords(done, 0, [])
    assert not TimeBudget(51).affords(done, 0, [])
    assert TimeBudget(50).affords(done, 1, [])
    assert not TimeBudget(51).affords(done, 1, [0])
    assert TimeBudget(52).affords(done, 1, [0])
    # Two workers share what is reserved.
    shared = progress(done.candidates, under_way=[0], sessions=done.sessions)
    assert TimeBudget(51).affords(shared, 1, [0])
    assert TimeBudget(90).remaining_seconds(done, 2) == 60
    assert TimeBudget(90).shown(done) == "30 s of 2 min"


def test_as_long_as_nothing_is_known_one_training_is_begun():
    nothing = progress([candidate(0)])
    assert TimeBudget(1).affords(nothing, 0, [])
    assert not TimeBudget(1).affords(nothing, 0, [0])
    assert TimeBudget(1).remaining_seconds(nothing, 1) == 1
    assert TrainingsBudget(3).remaining_seconds(nothing, 1) is None
