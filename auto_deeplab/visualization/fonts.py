"""Fonts that have the characters of a text, in whatever script class names are written.

The usual fonts of figures and legends have few scripts. Where they lack characters an installed
font stands in; where no font has them this is said once.
"""

import functools
import io
from collections.abc import Iterable
from typing import cast

import numpy as np
from absl import logging
from PIL import ImageFont


def legend_font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Returns the font to draw a text with, for Pillow.

    Args:
        text: What is to be drawn.
        size: The height of a line, in pixels.
    """
    font = _default(size)
    # Every font has these. Matplotlib, which knows the others, takes a while to load.
    if text.isascii():
        return font
    missing = _missing(text, _code_points_in(font.font_bytes))
    if not missing:
        return font
    every = frozenset(_drawn(text))
    found = _best_font(every)
    still_missing = _missing(every, _code_points(found.fname, _face(found))) if found else every
    if still_missing:
        _tell_missing(still_missing)
    if found is None or len(still_missing) >= len(missing):
        return font
    return _truetype(found.fname, size, _face(found))


def fallback_families(text: str, path: str) -> tuple[str, ...]:
    """Returns the font families to turn to for what a font lacks, for Matplotlib.

    Args:
        text: What is to be drawn.
        path: The file of the font that is asked first.
    """
    if text.isascii():
        return ()
    families = []
    missing = _missing(text, _code_points(path, 0))
    while missing:
        found = _best_font(missing)
        if found is None:
            _tell_missing(missing)
            break
        families.append(found.name)
        missing = _missing(missing, _code_points(found.fname, _face(found)))
    return tuple(families)


@functools.cache
def _installed():
    """The installed fonts, as Matplotlib lists them, upright ones of regular weight first."""
    from matplotlib import font_manager

    def order(entry):
        weight = font_manager.weight_dict.get(entry.weight, entry.weight)
        return (
            entry.name != "DejaVu Sans",
            (entry.style, entry.variant, entry.stretch) != ("normal",) * 3,
            abs(int(weight) - 400),
            "sans" not in entry.name.lower(),
            entry.name,
        )

    # A last resort has a box with a number for whatever no font has.
    fonts = [
        entry
        for entry in font_manager.fontManager.ttflist
        if not entry.name.startswith(".") and "Last Resort" not in entry.name
    ]
    return sorted(fonts, key=order)


@functools.lru_cache(maxsize=1024)
def _best_font(characters: frozenset[str]):
    """Returns the installed font that has the most of the characters; None if none has any."""
    best, most = None, 0
    for entry in _installed():
        try:
            lacking = _missing(characters, _code_points(entry.fname, _face(entry)))
        except (OSError, RuntimeError):  # Uninstalled since Matplotlib listed it, or broken.
            continue
        if len(characters) - len(lacking) > most:
            best, most = entry, len(characters) - len(lacking)
        if not lacking:
            break
    return best


def _missing(characters: Iterable[str], code_points: np.ndarray) -> frozenset[str]:
    drawn = sorted(set(_drawn(characters)))
    known = np.isin(np.array([ord(character) for character in drawn], np.uint32), code_points)
    return frozenset(character for character, is_in in zip(drawn, known, strict=True) if not is_in)


def _drawn(characters: Iterable[str]) -> Iterable[str]:
    return (character for character in characters if not character.isspace())


@functools.cache
def _code_points(path: str, face: int) -> np.ndarray:
    """Returns what a font's file has, uint32."""
    from matplotlib.ft2font import FT2Font

    # Older versions of Matplotlib know no other than the first face of a file.
    font = FT2Font(path, face_index=face) if face else FT2Font(path)
    return np.fromiter(font.get_charmap(), np.uint32)


@functools.cache
def _code_points_in(contents: bytes) -> np.ndarray:
    from matplotlib.ft2font import FT2Font

    return np.fromiter(FT2Font(io.BytesIO(contents)).get_charmap(), np.uint32)


@functools.lru_cache(maxsize=64)
def _default(size: int) -> ImageFont.FreeTypeFont:
    # It is another kind of font where no size is given.
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


@functools.lru_cache(maxsize=64)
def _truetype(path: str, size: int, face: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, face)


def _face(entry) -> int:
    return getattr(entry, "index", 0)


_told = False


def _tell_missing(characters: frozenset[str]) -> None:
    global _told
    if not _told:
        logging.warning(
            "no installed font has the characters %s: they are drawn as boxes. Install one that "
            "has them, such as one of the Noto fonts",
            " ".join(sorted(characters)),
        )
    _told = True
