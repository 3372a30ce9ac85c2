"""Names in other scripts, with the fonts that come with Matplotlib: those are on every machine."""

import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw

from auto_deeplab.visualization import fonts
from auto_deeplab.visualization.figures import TextFigure, save_figure
from auto_deeplab.visualization.fonts import fallback_families, legend_font
from auto_deeplab.visualization.overlays import legend

BUNDLED = Path(matplotlib.get_data_path(), "fonts", "ttf")
DEJAVU = str(BUNDLED / "DejaVuSans.ttf")
# Which no font of a Latin script has.
CHINESE = "\u5929\u7a7a"


@pytest.fixture(autouse=True)
def bundled_fonts_alone(monkeypatch):
    installed = [entry for entry in fonts._installed() if Path(entry.fname).parent == BUNDLED]
    monkeypatch.setattr(fonts, "_installed", lambda: installed)
    monkeypatch.setattr(fonts, "_told", False)
    fonts._best_font.cache_clear()
    yield
    fonts._best_font.cache_clear()


def drawn(text, font):
    canvas = Image.new("L", (120, 40))
    ImageDraw.Draw(canvas).text((2, 20), text, fill=255, font=font, anchor="lm")
    return np.asarray(canvas)


def characters_of(path):
    return set(map(chr, FT2Font(str(path)).get_charmap()))


def only_in_stix():
    """A character that the usual font of figures does not have and another bundled one has."""
    stix = characters_of(BUNDLED / "STIXGeneral.ttf") - characters_of(DEJAVU)
    return next(c for c in sorted(stix) if c.isalpha())


@pytest.mark.parametrize("text", ["\u0434\u043e\u0440\u043e\u0433\u0430", "stra\u00dfe", "\u03b1"])
def test_a_legend_has_the_letters_of_other_scripts(text):
    font = legend_font(text, 20)
    assert set(text) <= characters_of(font.path)
    pictures = [drawn(letter, font) for letter in sorted(set(text))]
    # Boxes, which stand for what a font lacks, are all the same.
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_the_usual_font_stays_where_it_has_the_characters():
    assert legend_font("road  12%", 20).font_bytes == legend_font("car", 20).font_bytes
    assert fallback_families("road", DEJAVU) == ()
    assert fallback_families("\u0434\u043e\u0440\u043e\u0433\u0430", DEJAVU) == ()


def test_what_no_font_has_is_said_once(caplog):
    with caplog.at_level("WARNING", "absl"):
        for _ in range(3):
            legend([f"{CHINESE} 1%", "road"], [(0, 0, 0)] * 2, 200)
            assert fallback_families(CHINESE, DEJAVU) == ()
    (record,) = caplog.records
    assert "no installed font has the characters \u5929 \u7a7a: they are drawn" in record.message


def test_a_figure_turns_to_a_font_that_has_the_character(tmp_path):
    letter = only_in_stix()
    assert fallback_families(f"road {letter}", DEJAVU) == ("STIXGeneral",)
    pictures = []
    for text in (letter, CHINESE[0], CHINESE[1]):
        figure = TextFigure(figsize=(1, 1))
        figure.text(0.5, 0.5, text, fontsize=40, fontfamily="DejaVu Sans")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            save_figure(figure, tmp_path / "figure.svg")
            save_figure(figure, tmp_path / "figure.png")
        pictures.append(np.asarray(Image.open(tmp_path / "figure.png")))
    # What no font has are boxes.
    assert np.array_equal(pictures[1], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_name_of_several_lines_takes_one_in_a_legend():
    lines, line = (legend([text], [(9, 9, 9)], 300) for text in ("road\nand car", "road and car"))
    np.testing.assert_array_equal(lines, line)
