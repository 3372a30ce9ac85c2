"""What messages say, from the syntax trees of all modules: the rules of `foundations/errors.py`."""

import ast
import re

import pytest

from tests.helpers import REPOSITORY

# The modules of the package that are no commands and define no flags, but `errors`, which says how
# arguments become flags, and `model_server`, which writes command lines of docker.
LIBRARY = sorted(
    path
    for path in (REPOSITORY / "auto_deeplab").rglob("*.py")
    if path.parent != REPOSITORY / "auto_deeplab" and path.parent.name != "command_line"
)
EXEMPT = {"auto_deeplab/foundations/errors.py", "auto_deeplab/serving/model_server.py"}
COMMANDS = sorted(
    path
    for folder in ("auto_deeplab", "auto_deeplab/command_line", "tools")
    for path in (REPOSITORY / folder).glob("*.py")
)
FLAG = re.compile(r"(?<![\w-])--(?=[a-z{])")


def texts(tree):
    """Yields the line and the text of each literal, docstrings too, with {} for what is filled in.

    Strings that Python joins (in a list of lines or with +) are texts of their own.
    """
    parts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= set(node.values)
            yield (
                node.lineno,
                "".join(
                    part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
                ),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.lineno, node.value


def flags_named(code):
    return [(line, text) for line, text in texts(ast.parse(code)) if FLAG.search(text)]


def test_no_library_function_names_a_flag():
    assert len(LIBRARY) > 100
    named = {
        path.relative_to(REPOSITORY).as_posix(): flags_named(path.read_text()) for path in LIBRARY
    }
    assert {path: found for path, found in named.items() if found and path not in EXEMPT} == {}
    assert all(named[path] for path in EXEMPT)


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ('raise UserError("--output: exists")', 1),
        ('raise UserError(f"--{name}: exists")', 1),
        ('raise UserError("another name, or " "--overwrite")', 1),
        ('raise UserError(f"{path}: " f"no {name}, or --overwrite")', 1),
        ('"""Reads what --output names."""', 1),
        ("raise UserError(f\"{argument('output')}: exists -- {rule} a--b\")", 0),
    ],
)
def test_flags_are_found(code, count):
    assert len(flags_named(code)) == count


def flags_defined():
    """The names of all flags: the texts in calls of functions called DEFINE..., define_..."""
    for path in COMMANDS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                if name.lower().startswith("define"):
                    yield from (a.value for a in node.args if isinstance(a, ast.Constant))


def calls_of(names):
    for path in (*LIBRARY, *COMMANDS):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names:
                yield f"{path.relative_to(REPOSITORY)}:{node.lineno}", node


def test_arguments_that_messages_name_are_called_as_flags_are():
    known = set(flags_defined())
    assert {"output", "model_dir", "distribution", "label_values"} <= known
    named = {
        node.args[0].value: place
        for place, node in calls_of({"argument", "require_known"})
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    assert len(named) > 20
    assert {name: place for name, place in named.items() if name not in known} == {}


def test_what_was_found_comes_before_what_was_expected():
    wrong = [
        (place, text)
        for place, call in calls_of({"BadInput", "ContentError", "UserError"})
        for argument in call.args[:1]
        for _, text in texts(ast.Module([ast.Expr(argument)], []))
        if re.search(r"(^|: )expected ", text)
    ]
    assert wrong == []
