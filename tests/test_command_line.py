"""What every command shares. TensorFlow is hidden from these processes: nobody may wait for it."""

import os
import re
import subprocess
import sys

import pytest
from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import near_matches
from tests.helpers import REPOSITORY, run_new_python, run_without_slow_imports

COMMANDS = sorted(
    f"{path.parent.name}.{path.stem}"
    for folder in ("auto_deeplab", "tools")
    for path in (REPOSITORY / folder).glob("*.py")
    if path.stem != "__init__"
)

TELLS = """
import sys
from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError

def main(argv):
    {body}

command_line.run(main)
"""

NAMES_ARGUMENTS = """
from absl import flags, logging
from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError, argument

command_line.define_path("output", None, "")
flags.DEFINE_bool("overwrite", False, "")

def main(argv):
    advice = f"expected {argument('overwrite', True)}, {argument('v', 1)}"
    raise UserError(f"{argument('output', 'my run')}: exists; {advice}")

assert "v" in flags.FLAGS
command_line.run(main)
"""


def run_main(body, *arguments, **options):
    """Runs a command with that body of `main`."""
    return run_new_python("-c", TELLS.format(body=body), *arguments, **options)


def test_the_commands_are_found():
    assert {"auto_deeplab.train", "auto_deeplab.decode", "tools.convert_folder"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_comes_at_once(command):
    done = run_without_slow_imports(command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"python -m {command}" in done.stdout
    assert "--" in done.stdout


def test_a_users_mistake_is_one_line():
    done = run_main("raise UserError('crop_size: received 0; expected at least 1')")
    assert done.returncode == 1
    assert done.stderr == "error: crop_size: received 0; expected at least 1\n"
    assert done.stdout == ""


def test_a_command_names_arguments_as_its_flags():
    # That of a library is none of the command's, though this process has it.
    done = run_new_python("-c", NAMES_ARGUMENTS)
    assert done.returncode == 1
    assert done.stderr == "error: --output='my run': exists; expected --overwrite, v=1\n"


def test_a_mistake_of_ours_is_one_line_that_asks_for_a_report():
    done = run_main("raise ValueError('ours\\nand more')")
    assert done.returncode == 70
    assert done.stderr.startswith("error: unexpected ValueError: ours and more; please report")
    assert "--traceback" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("kind", "status"), [("ValueError", 70), ("UserError", 1)])
def test_a_traceback_is_shown_where_it_is_asked_for(kind, status):
    done = run_main(f"raise {kind}('ours')", "--traceback")
    assert done.returncode == status
    assert "Traceback" in done.stderr
    assert "in main" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_output_that_cannot_be_written_is_an_error_of_one_line(arguments, unbuffered):
    with open("/dev/full", "w") as full:
        done = run_main(
            "print('written')",
            *arguments,
            stdout=full,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.stderr == "error: standard output: cannot be written: No space left on device\n"
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("body", "status"), [("print('nowhere')", 0), ("raise UserError('nobody reads it')", 1)]
)
def test_streams_that_are_closed_change_nothing(body, status, tmp_path):
    """A file that the command opens must not receive what is printed, either."""
    file = tmp_path / "file.txt"
    code = f"file = open({str(file)!r}, 'w'); import os; os.write(1, b'x'); os.write(2, b'x'); "
    command = f'{sys.executable} -c "$CODE" <&- >&- 2>&-'
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=REPOSITORY,
        env=os.environ | {"CODE": TELLS.format(body=code + body)},
    )
    assert done.returncode == status
    assert file.read_bytes() == b""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_no_encoding_has_are_printed_as_escapes(encoding):
    done = run_main(
        r"print('caf\udce9 \u00e9'); raise UserError('caf\udce9.png: damaged')",
        env=os.environ | {"PYTHONIOENCODING": encoding},
        encoding=encoding,
    )
    assert done.stdout == ("caf\\udce9 é\n" if encoding == "utf-8" else "caf\\udce9 \\xe9\n")
    assert done.stderr == "error: caf\\udce9.png: damaged\n"


def test_paths_of_flags_know_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    values = flags.FlagValues()
    one = command_line.define_path("one", "~/default", "A path.", flag_values=values)
    several = command_line.define_paths("several", None, "Paths.", flag_values=values)
    values(["program"])
    assert one.value == "/home/somebody/default"
    values(["program", "--one=~/a b~", "--several=~/a,b/~,~"])
    assert one.value == "/home/somebody/a b~"
    assert several.value == ["/home/somebody/a", "b/~", "/home/somebody"]
    values(["program", "--one="])
    assert one.value == ""


def test_paths_that_are_arguments_know_the_home_folder():
    done = run_new_python(
        "-c",
        TELLS.format(body="print(argv[1:])").replace("(main)", "(main, ['DIR...'])"),
        "~/a",
        "b",
        env=os.environ | {"HOME": "/home/somebody"},
    )
    assert done.stdout == "['/home/somebody/a', 'b']\n"


def test_every_flag_for_a_path_is_defined_as_one():
    names = re.compile(
        r"\w+_(dir|file|root)|(train|val|test)_(images|labels)|output|images|labels|genotype|like|palette|classes|sbd|"
        r"saved_model|tflite|onnx|openvino|contact_sheet"
    )
    definitions = []
    sources = [*(REPOSITORY / "auto_deeplab").rglob("*.py"), *(REPOSITORY / "tools").glob("*.py")]
    for path in sources:
        for function, name in re.findall(
            r"\b(DEFINE_string|DEFINE_list|define_paths?)\(\s*\"(\w+)\"", path.read_text()
        ):
            if names.fullmatch(name):
                definitions.append((path.stem, name, function))
    assert len(definitions) > 40
    assert [entry for entry in definitions if entry[2].startswith("DEFINE")] == []


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
