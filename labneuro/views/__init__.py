"""Windows and figures on pyqtgraph."""
