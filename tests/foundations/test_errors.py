"""Messages name arguments as whoever gave them knows them."""

import ast
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError, argument, naming_flags, require_known

VALUES = (
    st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
)


@pytest.mark.parametrize(
    ("value", "in_a_program", "on_a_command_line"),
    [
        ("mirrored", "output='mirrored'", "--output=mirrored"),
        ("my folder", "output='my folder'", "--output='my folder'"),
        (Path("a/b"), "output='a/b'", "--output=a/b"),
        (3, "output=3", "--output=3"),
        (True, "output=True", "--output"),
        (False, "output=False", "--output=False"),
        ((0, 255), "output=(0, 255)", "--output=0,255"),
        (["a", "b c"], "output=['a', 'b c']", "--output='a,b c'"),
    ],
)
def test_an_argument_is_written_as_it_is_given(value, in_a_program, on_a_command_line):
    assert argument("output", value) == in_a_program
    with naming_flags({"output"}):
        assert argument("output", value) == on_a_command_line


@given(VALUES | st.lists(VALUES))
def test_in_a_program_it_is_a_keyword_argument(value):
    call = ast.parse(f"save({argument('output', value)})", mode="eval").body
    assert [keyword.arg for keyword in call.keywords] == ["output"]
    assert ast.literal_eval(call.keywords[0].value) == value


@given(st.text() | st.integers())
def test_on_a_command_line_it_is_one_word_of_a_shell(value):
    with naming_flags({"output"}):
        assert shlex.split(argument("output", value)) == [f"--output={value}"]


def test_only_the_commands_own_flags_are_flags():
    assert argument("output") == "output"
    with naming_flags({"output", "model_dir"}):
        assert (argument("output"), argument("epoch", 2)) == ("--output", "epoch=2")
    with pytest.raises(ZeroDivisionError), naming_flags({"output"}):
        raise ZeroDivisionError
    assert argument("output") == "output"


def test_what_is_not_known_is_named_with_near_matches():
    require_known("outputs", ["class_map"], ["class_map", "probabilities"])
    with pytest.raises(UserError) as refusal:
        require_known("outputs", ["class_map", "clas_map"], ["class_map", "probabilities"])
    assert str(refusal.value) == "outputs: received 'clas_map'; did you mean class_map?"
