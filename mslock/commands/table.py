"""A table for people: rich's colours and widths, laid out line by line.

Why: rich's own Table takes 85 µs a cell, which is 3.4 s for ten thousand locks; this takes a tenth of that. A name must
never be cut in silence, so a cell that does not fit goes on in the next line. Where nobody looks on (a pipe), lines are
as long as they need to be: one lock, one line, for grep.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.style import Style

from mslock.notices import printable

#: A cell: its text, and how it looks (`green`, `bold red`), or empty.
Cell = tuple[str, str]
_GAP = 2


class Table:
    """Rows under a head, in columns as wide as they need, or as the terminal has room for."""

    def __init__(self, head: Sequence[str], rows: Sequence[Sequence[Cell]], width: int | None) -> None:
        """`width` is the terminal's; None is without bound."""
        self._rows: list[Sequence[Cell]] = [[(text, "bold") for text in head]]
        self._rows += [[(printable(text), style) for text, style in row] for row in rows]
        self._styles: dict[str, Style | None] = {"": None}
        self._widths = [max(cell_len(row[column][0]) for row in self._rows) for column in range(len(head))]
        if width is not None:
            self._narrow(max(width - _GAP * (len(head) - 1), len(head)))

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> Iterator[Segment]:
        gap, line = Segment(" " * _GAP), Segment.line()
        last = len(self._widths) - 1
        for row in self._rows:
            if all(cell_len(text) <= width for (text, _), width in zip(row, self._widths, strict=True)):
                lines = [[text for text, _ in row]]
            else:
                lines = self._folded(row)
            for texts in lines:
                for column, text in enumerate(texts):
                    if column:
                        yield gap
                    if text:
                        yield Segment(text, self._style(console, row[column][1]))
                    if column < last:
                        yield Segment(" " * (self._widths[column] - cell_len(text)))
                yield line

    def _narrow(self, room: int) -> None:
        """Take from the widest columns, so that the narrow ones keep what they need."""
        excess = sum(self._widths) - room
        while excess > 0:
            widest = max(self._widths)
            if widest == 1:
                return
            second = max((width for width in self._widths if width < widest), default=1)
            columns = [column for column, width in enumerate(self._widths) if width == widest]
            each = min(widest - second, -(-excess // len(columns)))
            for column in columns:
                self._widths[column] -= each
            excess -= each * len(columns)

    def _folded(self, row: Sequence[Cell]) -> list[list[str]]:
        cells = [_fold(text, width) for (text, _), width in zip(row, self._widths, strict=True)]
        return [
            [cell[number] if number < len(cell) else "" for cell in cells] for number in range(max(map(len, cells)))
        ]

    def _style(self, console: Console, name: str) -> Style | None:
        if name not in self._styles:
            self._styles[name] = console.get_style(name)
        return self._styles[name]


def show(head: Sequence[str], rows: Sequence[Sequence[Cell]], title: str, foot: Sequence[str] = ()) -> None:
    """Print a table on standard output, with lines above and below it."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    width = console.width if console.is_terminal or os.environ.get("COLUMNS", "").isdigit() else None
    with console.capture() as text:  # rich would end the program itself if nobody reads
        if rows:
            console.print(Table(head, rows, width), crop=False, soft_wrap=True)
    above = printable(title) + "\n" + ("\n" if rows else "")
    below = "".join(f"{line}\n" for line in ("", *map(printable, foot))) if foot else ""
    sys.stdout.write(above + text.get() + below)


def _fold(text: str, width: int) -> list[str]:
    if not text.isascii():
        return chop_cells(text, width)
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]
