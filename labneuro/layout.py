"""How the command line lays out what it says: labelled lines under headings."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

Lines = Sequence[tuple[str, str]]


def show_lines(lines: Lines, console: Console) -> None:
    """Print labelled lines: folded in a table on a terminal, unfolded for another program."""
    if not console.is_terminal:
        width = max((len(label) for label, _ in lines), default=0)
        for label, text in lines:
            console.print(f"{label:<{width}}  {text}".rstrip(), markup=False, highlight=False, soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(Text(label, style="bold"), Text(text))
    console.print(table)


def show(tables: Mapping[str, Lines], console: Console) -> None:
    """Print labelled lines under headings, leaving out headings without lines."""
    filled = {title: lines for title, lines in tables.items() if lines}
    for i, (title, lines) in enumerate(filled.items()):
        console.print(Text(f"\n{title}" if i else title, style="bold underline"))
        show_lines(lines, console)


def printable(text: str, keep: str = "") -> str:
    """Return text from a file without what could steer a terminal; keep: characters that may stay all the same."""
    return "".join(c if c.isprintable() or c in keep else " " for c in text)
