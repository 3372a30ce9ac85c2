"""Tables for a terminal, in which names of files, classes and datasets are nothing but text."""

import unicodedata
from typing import Any

from rich.console import RenderableType
from rich.style import StyleType
from rich.table import Table
from rich.text import Text


def plain_text(text: str, style: StyleType = "") -> Text:
    r"""Returns a text to print with rich, which would take "[red]" and ":car:" for markup.

    Characters that would control the terminal, such as the escape of a color, are written as in
    Python's "\x1b".
    """
    shown = "".join(
        character
        if character == "\n" or unicodedata.category(character) not in ("Cc", "Cs")
        else character.encode("unicode_escape").decode()
        for character in text
    )
    return Text(shown, style=style)


class TextTable(Table):
    """A `rich.table.Table` whose strings are shown as they are, not read as markup.

    Args:
        headers: Of the columns.
        title: Above the table.
        caption: Below the table.
        options: See `rich.table.Table`.
    """

    def __init__(
        self, *headers: str, title: str | None = None, caption: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.title = None if title is None else plain_text(title, "table.title")
        self.caption = None if caption is None else plain_text(caption, "table.caption")
        for header in headers:
            self.add_column(header)

    def add_column(
        self, header: RenderableType = "", footer: RenderableType = "", **options: Any
    ) -> None:
        """Adds a column; see `rich.table.Table.add_column`."""
        super().add_column(_as_it_is(header), _as_it_is(footer), **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Adds a row of strings, or of texts that have a style."""
        super().add_row(*(cell if cell is None else _as_it_is(cell) for cell in cells), **options)


def _as_it_is(cell: RenderableType) -> RenderableType:
    return plain_text(cell) if isinstance(cell, str) else cell
