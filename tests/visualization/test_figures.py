"""Names of users are text in every figure."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.runs.run import find_runs
from auto_deeplab.search_space import Genotype
from auto_deeplab.visualization import figures
from auto_deeplab.visualization.architecture import draw_architecture
from auto_deeplab.visualization.curves import draw_curves, draw_trials
from auto_deeplab.visualization.evaluations import draw_class_bars, draw_confusion_matrix
from auto_deeplab.visualization.examples import Example, draw_examples
from auto_deeplab.visualization.figures import TextFigure, as_formula, save_figure

# What Matplotlib would read as mathematics, leave out or take for its own.
NAMES = ("cost $x_{ of $5", "_background_", r"a\$b $\alpha$")


def pixels(figure, path):
    save_figure(figure, path)
    return np.asarray(Image.open(path))


def legend_texts(place):
    return [text.get_text() for text in place.get_texts()]


def test_every_figure_shows_names_as_they_are(make_training, make_search, tmp_path):
    training, search = find_runs([make_training("training"), make_search("search")])
    (evaluation,) = training.evaluations
    evaluation = dataclasses.replace(evaluation, class_names=NAMES)
    bars = draw_class_bars([evaluation] * 3, NAMES)
    matrix = draw_confusion_matrix(evaluation)
    named = [dataclasses.replace(search, name=name) for name in NAMES]
    named[1] = dataclasses.replace(
        named[1], metrics=[{**line, "loss": 5.0} for line in search.metrics]
    )
    curves = draw_curves(named, {"loss": "loss"}, "loss")
    trials = draw_trials([[run] for run in named], NAMES)
    palette = ((200, 0, 0), (0, 200, 0), (0, 0, 200))
    labels = np.arange(12).reshape(3, 4) % 3
    example = Example(0, np.zeros((3, 4, 3), np.uint8), labels, labels, 1.0)
    seen = draw_examples([example], DatasetDescription("few", {"val": 1}, NAMES, palette))
    for number, figure in enumerate((bars, matrix, curves, trials, seen)):
        for suffix in (".svg", ".png"):
            save_figure(figure, tmp_path / f"{number}{suffix}")
        assert not any(text.get_parse_math() for text in figure.findobj(figures.Text))
    assert [text.partition(": mean")[0] for text in legend_texts(bars.legends[0])] == list(NAMES)
    assert [text.get_text() for text in bars.axes[0].get_yticklabels()] == list(NAMES)
    assert [text.get_text() for text in matrix.axes[0].get_xticklabels()] == list(NAMES)
    assert legend_texts(curves.axes[0].get_legend()) == [f"{NAMES[0]}, {NAMES[2]}", NAMES[1]]
    assert legend_texts(trials.axes[0].get_legend())[:3] == list(NAMES)
    assert legend_texts(seen.legends[0]) == list(NAMES)


@settings(deadline=None, max_examples=25)
@given(st.text(st.sampled_from("$\\_^{}&%#~<a \n"), max_size=12))
def test_any_text_can_be_drawn(text):
    figure = TextFigure(figsize=(1, 1))
    axes = figure.add_subplot()
    axes.set_yticks([0], [text])
    figures.add_legend(axes, axes.plot([0], [0]), [text])
    figure.canvas.draw()
    assert axes.get_legend().get_texts()[0].get_text() == text


def test_mathematics_is_what_is_declared_so(tmp_path):
    pictures = []
    for declare in (lambda text: text, as_formula):
        figure = TextFigure(figsize=(2, 1))
        declare(figure.text(0, 0.5, "$H^{l}$", fontsize=20))
        pictures.append(pixels(figure, tmp_path / "text.png"))
    usual = Figure(figsize=(2, 1))
    usual.text(0, 0.5, "$H^{l}$", fontsize=20)
    usual.savefig(tmp_path / "usual.png", dpi=150)
    np.testing.assert_array_equal(pictures[1], np.asarray(Image.open(tmp_path / "usual.png")))
    assert (pictures[0] != pictures[1]).any()


def test_an_architecture_has_its_three_formulas():
    figure = draw_architecture(Genotype.load("published"))
    assert len(figure.formulas) == 3
    assert all(text.get_text().startswith("$H^") for text in figure.formulas)


@pytest.mark.parametrize("name", ["curves", "evaluations", "examples", "heat_maps", "architecture"])
def test_no_module_makes_figures_of_another_kind(name):
    source = (figures.Path(figures.__file__).parent / f"{name}.py").read_text()
    assert " Figure(" not in source
