"""The gin parameters that flags amount to."""

import json

import pytest

from tests.helpers import run_python

GIVEN = """
import json
import sys
from absl import flags
from auto_deeplab.command_line import gin_flags

given = gin_flags.define_flags()
flags.FLAGS(["command", *sys.argv[1:]])
print(json.dumps(given()))
"""


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ([], []),
        (["--mixed_precision=float16"], ["configure_runtime.mixed_precision = 'float16'"]),
        (["--ignore_corrupt"], ["open_records.ignore_corrupt = True"]),
        (["--noignore_corrupt"], ["open_records.ignore_corrupt = False"]),
        # What is short for a parameter comes after those that are spelled out, and so wins.
        (
            ["--mixed_precision=none", "--gin_param=a.b = 1", "--gin_param=c.d = 'e'"],
            ["a.b = 1", "c.d = 'e'", "configure_runtime.mixed_precision = 'none'"],
        ),
    ],
)
def test_flags_are_short_for_gin_parameters(arguments, parameters):
    done = run_python("-c", GIVEN, *arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == parameters
