import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is loaded; windows need no screen
