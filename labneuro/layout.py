"""How the command line lays out what it says: labelled lines under headings."""

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

Lines = Sequence[tuple[str, str]]

_PIPE_WIDTH = 1000  # characters: what another program reads is not folded


def output() -> Console:
    """Return the standard output as a console."""
    return Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)


def listed(lines: Lines) -> Table:
    """Return labelled lines as a table without rules."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(Text(label, style="bold"), Text(text))
    return table


def show(tables: Mapping[str, Lines], console: Console) -> None:
    """Print labelled lines under headings, leaving out headings without lines."""
    filled = {title: lines for title, lines in tables.items() if lines}
    for i, (title, lines) in enumerate(filled.items()):
        console.print(Text(f"\n{title}" if i else title, style="bold underline"))
        console.print(listed(lines))
