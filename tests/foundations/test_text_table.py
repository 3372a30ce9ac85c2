"""Names in tables, by what a terminal shows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.inspection import Inspection
from auto_deeplab.data.survey import Survey
from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.evaluation.result import EvaluationResult
from auto_deeplab.foundations.text_table import TextTable

NAMES = ("car [moving]", "car [parked]", "b [/c]", "[red]", ":smile: \\[x]", "{x} %s <b>")


def shown(*tables):
    console = Console(width=300, color_system="truecolor", force_terminal=True)
    with console.capture() as capture:
        console.print(*tables, sep="\n")
    return capture.get()


def test_names_in_an_evaluation_are_shown_as_they_are():
    matrix = ConfusionMatrix(len(NAMES))
    table = EvaluationResult("[/m]", None, "[/d]", "[s]", 1, NAMES, matrix).table()
    text = shown(table)
    assert all(text.count(name) == 1 for name in NAMES)
    assert "[/d] [s]: 1 images, [/m]" in text


def test_names_in_an_inspection_are_shown_as_they_are():
    description = DatasetDescription(
        "[/d]", {"[/s]": 1}, NAMES, [(index, 0, 0) for index in range(len(NAMES))]
    )
    survey = Survey(1)
    survey.pixels[:8] = 1

    class Records:
        corrupt = ()

    text = shown(*Inspection(description, {"[/s]": Records()}, {"[/s]": survey}).tables())
    assert all(text.count(name) == 1 for name in NAMES)
    assert "[/d]" in text
    assert "[/s]: pixels" in text
    # The command's own colors are not text.
    assert "is no class" in text
    assert "\x1b[38;2;3;0;0m\u2588\u2588\x1b[0m [red]" in text


@settings(deadline=None, max_examples=50)
@given(st.text(st.sampled_from("[]/\\:#=ab@.!"), min_size=1, max_size=20))
def test_any_text_is_shown_as_it_is(text):
    table = TextTable(text, title=text, caption=text)
    table.add_row(text)
    assert shown(table).count(text) >= 4


def test_nothing_controls_the_terminal():
    table = TextTable("class")
    table.add_row("a\x1b[31mred\x07\x9b")
    text = Console(width=80, file=None)
    with text.capture() as capture:
        text.print(table)
    assert "a\\x1b[31mred\\x07\\x9b" in capture.get()


@pytest.mark.parametrize("cells", [("one",), ("one", "two")])
def test_columns_and_rows_are_those_of_rich(cells):
    table = TextTable(*cells)
    table.add_row(*cells)
    assert len(table.columns) == len(cells)
    assert np.all([cell in shown(table) for cell in cells])
