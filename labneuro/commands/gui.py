"""The command that opens the laboratory in a window."""

# ruff: noqa: PLC0415 - Qt is loaded when a window is wanted

from labneuro.commands.parsing import Parser, UsageError


def gui(arguments: list[str]) -> int:
    """Start runs from a window, and look at those of the past."""
    words = "Open a window: choose a protocol and a bench, fill in a form, queue runs, look at those of the past."
    parser = Parser("labneuro gui", words)
    parser.read(arguments)

    from labneuro.control import NO_SCREEN, has_screen

    if not has_screen():
        raise UsageError(f"{NO_SCREEN}: labneuro run needs none")

    from labneuro.views.gui import show

    return show()
