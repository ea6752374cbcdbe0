"""Make the pictures of docs/windows.md: a window on a run of each protocol, and the laboratory in one window.

python docs/pictures.py [NAME ...] takes some minutes for all of them and needs no screen. Run it from a clone, with the
labneuro of that clone installed, after what windows show has changed, and look at what it made.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(__file__).parent / "images"

WINDOWS = {
    "vowels": (["--map-points", "61", "--steps", "40"], 25),
    "response_map": ([], None),
    "free_running": ([], None),
    "injection_locking": ([], None),
    "letters": (["--bench", "letters"], 8),
    "program": (["--bench", "synapses"], 12),
    "characterise_device": (["--bench", "synapses"], None),
    "iv_loop": (["--bench", "memristor"], None),
    "digits": (["--bench", "digits", "--epochs", "3"], None),
    "solve": (["--bench", "solve"], None),
}
"""Options of a run of each protocol, and the step that is shown, None for the last."""


def main() -> None:
    """Make the pictures that are named, or all."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    wanted = sys.argv[1:] or [*WINDOWS, "laboratory"]
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            if name == "laboratory":
                picture_of_laboratory(Path(folder))
            else:
                picture_of_run(name, *WINDOWS[name], Path(folder) / f"{name}.h5")


def picture_of_run(name: str, options: list[str], step: int | None, path: Path) -> None:
    """Run a protocol and save a picture of the window on its run."""
    command = [sys.executable, "-m", "labneuro"]
    out = IMAGES / f"window-{name}.png"
    out.unlink(missing_ok=True)
    shown = [] if step is None else ["--step", str(step)]
    subprocess.run([*command, "run", name, *options, "--out", str(path), "--no-figure"], check=True)  # noqa: S603
    subprocess.run([*command, "view", str(path), "--snapshot", str(out), *shown], check=True)  # noqa: S603


def picture_of_laboratory(folder: Path) -> None:
    """Save a picture of the window that starts runs, with the form of a protocol filled in."""
    from labneuro.views.gui import Laboratory  # noqa: PLC0415
    from labneuro.views.qt import QtCore, application  # noqa: PLC0415

    os.chdir(folder)
    program = application()
    window = Laboratory(folder)
    window.show()
    window.start.protocols.choose("vowels")
    until = QtCore.QDeadlineTimer(5000)
    while not until.hasExpired():
        program.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 100)
    window.grab().save(str(IMAGES / "window-laboratory.png"))


if __name__ == "__main__":
    main()
