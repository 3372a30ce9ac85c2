"""How benchmarks show what they measured: as a table for people, as JSON for programs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from auto_deeplab.foundations import json_files

Row = dict[str, Any]
"""What was measured of one thing, by name."""

Columns = Mapping[str, Callable[[Row], str]]
"""The headings of a table, and what a row has below each."""


def show(
    rows: Sequence[Row],
    names: Columns,
    figures: Columns,
    as_json: bool,
    title: str | None = None,
) -> None:
    """Prints rows.

    Args:
        rows: What was measured.
        names: The columns that say of what, aligned to the left.
        figures: The columns that say how much, aligned to the right.
        as_json: Print the rows themselves instead of a table.
        title: Above the table.
    """
    if as_json:
        print(json_files.to_json(list(rows), indent=1))
        return
    from rich.console import Console

    from auto_deeplab.foundations.text_table import TextTable

    table = TextTable(*names, title=title, title_justify="left")
    for heading in figures:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(cell(row) for cell in {**names, **figures}.values()))
    Console().print(table)


def size_of(row: Row) -> str:
    """Returns the image size of a row, such as "513x513"."""
    height, width = row["size"]
    return f"{height}x{width}"
