"""What every command shares. TensorFlow is hidden from these processes: nobody may wait for it."""

import subprocess
import sys

import pytest

from auto_deeplab.command_line import near_matches
from tests.helpers import REPOSITORY

SHARED = (
    "__init__",
    "atomic_file",
    "command_line",
    "configuration",
    "errors",
    "exported_flags",
    "prediction_flags",
)
COMMANDS = sorted(
    f"{path.parent.name}.{path.stem}"
    for folder in ("auto_deeplab", "tools")
    for path in (REPOSITORY / folder).glob("*.py")
    if path.stem not in SHARED
)

# Runs the module argv[1] where nothing that takes long can be imported.
WITHOUT_TENSORFLOW = """
import runpy
import sys

for slow in ("tensorflow", "tf_keras", "matplotlib", "onnxruntime", "openvino", "gradio"):
    sys.modules[slow] = None
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""

TELLS = """
import sys
from auto_deeplab import command_line
from auto_deeplab.errors import UserError

def main(argv):
    {body}

command_line.run(main)
"""


def run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True
    )


def run_main(body, *arguments):
    """Runs a command with that body of `main`."""
    return run("-c", TELLS.format(body=body), *arguments)


def test_the_commands_are_found():
    assert {"auto_deeplab.train", "auto_deeplab.decode", "tools.convert_folder"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_comes_at_once(command):
    done = run("-c", WITHOUT_TENSORFLOW, command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"python {'-m ' if command.startswith('auto') else ''}" in done.stdout
    assert "--" in done.stdout


def test_a_users_mistake_is_one_line():
    done = run_main("raise UserError('crop_size: received 0; expected at least 1')")
    assert done.returncode == 1
    assert done.stderr == "error: crop_size: received 0; expected at least 1\n"
    assert done.stdout == ""


def test_a_mistake_of_ours_keeps_its_traceback():
    done = run_main("raise ValueError('ours')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ValueError: ours" in done.stderr


def test_an_interruption_says_how_to_go_on():
    done = run_main("raise KeyboardInterrupt")
    assert done.returncode == 130
    assert "run the same command again to continue" in done.stderr
    assert "Traceback" not in done.stderr


def test_arguments_that_are_no_flags():
    done = run_main("print('ran')", "search.gin")
    assert done.returncode == 1
    assert "unexpected arguments ['search.gin']" in done.stderr
    assert "ran" not in done.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_a_reader_that_stops_early_is_no_error(arguments):
    # Output that fits no pipe, and one that fits but comes after the reader has gone.
    code = TELLS.format(body="print('line\\n' * 100_000)")
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if not arguments:
        assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_near_matches():
    known = ["search.gin", "other"]
    assert near_matches("serch.gin", known) == "; did you mean search.gin?"
    assert near_matches("zzz", known) == "; known: other, search.gin"
    assert near_matches("zzz", []) == ""
