"""What a person waits for on the emulated chip: a response map, a spectrum, and the whole vowel run.

There is no peer to hold these against; the target of each stands in its place: 5 s for the map, 10 s for the run, 1 GB.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness.report import Measure, best_of, report

from labneuro.clock import VirtualClock
from labneuro.signals import Tones
from labneuro.simulators.oscillator_chip import EmulatedOscillatorChip


def main() -> None:
    """Measure and report."""
    chip = EmulatedOscillatorChip(VirtualClock())
    chip.set_currents(np.full(4, 6e-3))
    axis = np.linspace(322e6, 378e6, 101)
    tones = Tones.grid([axis, axis], 1e-3)
    measures = {
        "map of 101 x 101 points": Measure(best_of(lambda: chip.synchronisation(tones), 5), 5.0, "target", "s"),
        "spectrum, 64 averages": Measure(1e3 * best_of(chip.spectrum, 20), None, "", "ms"),
    }
    with tempfile.TemporaryDirectory() as folder:
        run = [Path(sys.executable).with_name("labneuro"), "run", "vowels", "--out", Path(folder) / "run.h5"]
        start = time.perf_counter()
        subprocess.run(run, check=True, capture_output=True, cwd=folder)
        measures["labneuro run vowels"] = Measure(time.perf_counter() - start, 10.0, "target", "s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    measures["its memory"] = Measure(peak, 1.0, "target", "GB")
    report("The emulated chip, as a person waits for it", measures)


if __name__ == "__main__":
    main()
