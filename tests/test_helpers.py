"""A forked command against the same command in an interpreter of its own."""

import os
import signal
import subprocess
import sys

import pytest

from tests.helpers import run_python

TELL = """
import atexit, os, sys
atexit.register(print, "the end")
print(sys.argv, os.getcwd(), os.environ.get("TOLD"), __name__, sys.path[0] in ("", os.getcwd()))
print("error", file=sys.stderr)
{end}
"""


@pytest.mark.parametrize(
    "end",
    ["", "sys.exit(75)", "sys.exit('no')", "assert False, 'never'", "os.kill(os.getpid(), 9)"],
)
def test_a_command_ends_as_in_an_interpreter_of_its_own(end, tmp_path):
    arguments = ["-c", TELL.format(end=end), "--flag", "two words"]
    env = os.environ | {"TOLD": "so"}
    done = run_python(*arguments, cwd=tmp_path, env=env)
    expected = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == expected.returncode
    if done.returncode == -signal.SIGKILL:
        return
    assert done.stdout == expected.stdout
    assert done.stderr.splitlines()[0] == expected.stderr.splitlines()[0] == "error"
    assert done.stderr.splitlines()[-1] == expected.stderr.splitlines()[-1]


def test_files_and_modules_run_as_main(tmp_path):
    (tmp_path / "told.py").write_text(TELL.format(end=""))
    for arguments in (("told.py", "x"), ("-m", "told", "x")):
        done = run_python(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "'x']" in done.stdout
        assert done.stdout.splitlines()[0].endswith("__main__ True")


def test_a_command_starts_tensorflow_itself():
    code = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
print(len(tf.config.list_logical_devices("CPU")))
"""
    assert run_python("-c", code).stdout == "3\n"


def test_a_command_that_does_not_end_is_killed():
    with pytest.raises(subprocess.TimeoutExpired):
        run_python("-c", "import time; time.sleep(60)", timeout=1)
