"""The input pipeline's benchmark as a user runs it, at a size that takes no time."""

import functools
import json

import pytest

from tests.helpers import assert_user_error, run_command

run = functools.partial(run_command, "benchmarks.input_pipeline")


def test_pipeline_and_loop_are_measured():
    done = run(
        *("--reduce=8", "--images=2", "--seconds=0", "--repeats=2", "--settings=retrain"),
        *("--step_seconds=0.5", "--step_examples=4", "--json"),
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["setting"], row["format"]) for row in rows] == [
        ("retrain", "png"),
        ("retrain", "jpeg"),
    ]
    for row in rows:
        assert row["image_size"] == [128, 256]
        assert row["crop_size"] == 97
        assert len(row["turns"]["pipeline"]) == len(row["turns"]["plain_loop"]) == 2
        assert row["pipeline"] > 0
        assert row["times_the_training"] == pytest.approx(row["pipeline"] * 0.5 / 4)
    assert rows[0]["bytes_a_pixel"] > rows[1]["bytes_a_pixel"] > 0


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--settings=serch", "--settings: received 'serch'; did you mean search?"),
        ("--formats=jpg", "did you mean jpeg"),
    ],
)
def test_wrong_flags_are_user_errors(flag, message):
    assert_user_error(run(flag), message)
