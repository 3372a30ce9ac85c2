"""The inference benchmark as a user runs it, at a size that takes no time."""

import functools
import json

import pytest

from tests.helpers import assert_user_error, run_command

run = functools.partial(run_command, "benchmarks.inference")


@pytest.mark.slow
def test_models_are_measured_in_turns():
    done = run("--models=M,S", "--sizes=33x65", "--settings=plain,folded", "--repeats=2", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["setting"], row["model"]) for row in rows] == [
        ("plain", "M"),
        ("plain", "S"),
        ("folded", "M"),
        ("folded", "S"),
    ]
    for row in rows:
        assert row["parameters"] == {"S": 10_147_427, "M": 21_622_451}[row["model"]]
        assert row["size"] == [33, 65]
        assert len(row["seconds"]) == 2
        assert all(0 < seconds < row["first_call_seconds"] for seconds in row["seconds"])
        assert 100 < row["megabytes_before"] <= row["peak_megabytes"]
        if row["model"] == "S":
            assert row["times_faster_than_S"] == 1
    assert rows[0]["multiply_adds"] > rows[1]["multiply_adds"] > 0


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--models=XL", "--models: received 'XL'; did you mean L?"),
        ("--settings=fold", "did you mean folded?"),
        ("--sizes=513", "--sizes: received '513'; expected HEIGHTxWIDTH"),
    ],
)
def test_wrong_flags_are_user_errors(flag, message):
    assert_user_error(run(flag), message)
