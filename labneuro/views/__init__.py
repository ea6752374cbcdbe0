"""Windows and figures on pyqtgraph.

`panels` says what to show, `steps` says it for protocols that don't: neither loads Qt. `figure` saves panels.
"""


class FigureError(RuntimeError):
    """Figures can't be drawn on this machine; the message says what it lacks."""
