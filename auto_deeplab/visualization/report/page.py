"""The report as one HTML page, with its pictures also as files. It knows nothing of runs."""

import base64
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import UserError, reason_of
from auto_deeplab.visualization.figures import save_figure

_TEMPLATE = Path(__file__).parent / "report.html.jinja"


@dataclass(frozen=True)
class Picture:
    """A figure with what is written below it.

    Args:
        name: Of its files, without suffix.
        title: What it shows.
        caption: How to read it.
        figure: The figure.
        wide: Whether it takes the page's whole width.
        is_photograph: Whether it consists of pixels; the page then holds the PNG, not the SVG.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    wide: bool = False
    is_photograph: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names the row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A part of the page: tables, pictures, then long texts that are folded away."""

    title: str
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    texts: Mapping[str, str] = field(default_factory=dict)


def write_report(output: Path, title: str, sections: Sequence[Section]) -> Path:
    """Writes the page, and its pictures as PNG and SVG into a folder of the page's name.

    Args:
        output: The HTML file.
        title: Of the page.
        sections: What it shows.

    Returns:
        The folder of the pictures.

    Raises:
        UserError: A file cannot be written.
    """
    folder = output.with_suffix("")
    sources = {}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Drawing takes the time: nothing is to be seen of a report before all is drawn.
        with tempfile.TemporaryDirectory(prefix=".report-", dir=folder.parent) as temporary:
            drawn = Path(temporary)
            for picture in (picture for section in sections for picture in section.pictures):
                for suffix in (".png", ".svg"):
                    save_figure(picture.figure, drawn / f"{picture.name}{suffix}")
                kind, suffix = ("png", ".png") if picture.is_photograph else ("svg+xml", ".svg")
                content = base64.b64encode((drawn / f"{picture.name}{suffix}").read_bytes())
                sources[picture.name] = f"data:image/{kind};base64,{content.decode()}"
            folder.mkdir(exist_ok=True)
            for file in drawn.iterdir():
                os.replace(file, folder / file.name)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {reason_of(error)}") from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=title, sections=sections, sources=sources, folder=folder.name
    )
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder
