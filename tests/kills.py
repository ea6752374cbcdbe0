"""Kill runs at random moments, go on with them, and compare their ends with those of undisturbed runs.

    python tests/kills.py 1000

Each run on the emulated chip is killed with SIGKILL at a random moment of its life, its resumption perhaps again, until
it has come to its end. Exit status 1 if a step that had been committed was lost, a file could not be read, a killed run
was called finished, or an end is not bit-identical. Linux and macOS only.
"""

# ruff: noqa: T201

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.remove(str(Path(__file__).parent))  # tests/labneuro would be taken for labneuro
os.environ["NUMBA_THREADING_LAYER"] = "workqueue"  # the only one that a forked process may use
os.environ["NUMBA_NUM_THREADS"] = "1"

from labneuro import bench, crossing, registry
from labneuro.entries import Entry, Remembered, Yielded
from labneuro.journal import JournalError, StoreError
from labneuro.recording import RunWriter, completed
from labneuro.records import STEPS
from labneuro.resume import resume
from labneuro.run import execute
from labneuro.script import Exchange, Script
from labneuro.store import RunFile
from labneuro.values import pack

crossing.REMEMBER = 0.02  # as often as a run of hours would

BENCH = """clock = "virtual"
[parts.chip]
driver = "oscillators"
settings = {{ oscillators = 2, averages = 4, detection = "{}" }}
limits = {{ max_current = "8 mA", ramp = "1 mA/ms", max_rf_power = "5 dBm" }}
"""

EXPERIMENTS: list[tuple[str, str, dict[str, Any]]] = [
    ("response_map", "phases", {"points": 21}),
    ("free_running", "phases", {"points": 12}),
    ("injection_locking", "phases", {"points": 5}),
    ("response_map", "spectra", {"points": 4}),
]
"""Protocol, how the chip detects locking, and parameters."""


def play(experiment: int, path: Path) -> None:
    """Run an experiment, undisturbed."""
    name, detection, parameters = EXPERIMENTS[experiment]
    on = bench.parse(BENCH.format(detection), path.with_name("small.toml"))
    execute(registry.load_protocol(name), on, parameters, path, progress=False)


def go_on(path: Path) -> None:
    """Resume a run, undisturbed."""
    resume(RunFile(path), progress=False)


def content(path: Path) -> tuple[int, str]:
    """Return the number of steps of a run, and a digest of all that its protocol asked, was answered and yielded."""
    run = RunFile(path)
    digest = hashlib.sha256()
    for table, fields in {STEPS: run.steps, **run.records}.items():
        for name, values in fields.items():
            digest.update(pack([table, name, values if values.dtype != object else values.tolist()]))
    for event in Script(run.reader, resuming=True).met():
        if isinstance(event, Exchange):
            asked = event.asked
            digest.update(pack([asked.part, asked.verb, asked.arguments, list((event.outcome or [])[1:])]))
        elif not isinstance(event, Remembered):
            digest.update(pack(list(event)))
    return run.steps.count, digest.hexdigest()


def killed(work: Callable[[], None], after: float) -> tuple[bool, int]:
    """Do `work` in a process of its own and kill that after some time, s.

    Return whether it was alive then, and how many steps it had committed, by its own word.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _acknowledge(writing)
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - it has nowhere to go
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    finished = threading.Event()

    def kill() -> None:
        if not finished.wait(after):
            os.kill(child, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    committed = b""
    while part := os.read(reading, 65536):
        committed += part
    finished.set()
    killer.join()
    _, status = os.waitpid(child, 0)
    os.close(reading)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise AssertionError("the run failed by itself; its traceback is above")
    return os.WIFSIGNALED(status), len(committed)


def _acknowledge(pipe: int) -> None:
    """Say one byte for each step as soon as the journal has it."""
    write = RunWriter.write

    def told(self: RunWriter, *entries: Entry, later: bool = False) -> int:
        size = write(self, *entries, later=later)
        os.write(pipe, b"." * sum(isinstance(entry, Yielded) and entry.table == STEPS for entry in entries))
        return size

    RunWriter.write = told


def torment(
    experiment: int, path: Path, duration: float, undisturbed: tuple[int, str], chance: random.Random
) -> Counter[str]:
    """Run an experiment once, killing it on the way, and return what was seen, faults by "FAULT: ..."."""
    seen: Counter[str] = Counter()
    committed = 0
    work = partial(play, experiment, path)
    for attempt in range(8):
        patience = chance.uniform(0, (1.1 if attempt == 0 else 2) * duration) if attempt < 7 else 1e6
        alive, more = killed(work, patience)
        committed += more
        seen["kills"] += alive
        try:
            run = RunFile(path)
        except JournalError as error:
            if committed or "never began" not in str(error):
                seen[f"FAULT: unreadable: {error}"] += 1
                return seen
            seen["killed before they began"] += 1
            for file in (path, path.with_suffix(".journal")):
                file.unlink(missing_ok=True)
            continue
        except StoreError as error:
            if alive and not path.with_suffix(".journal").exists() and not committed:
                seen["killed before they began"] += 1
                path.unlink(missing_ok=True)
                continue
            seen[f"FAULT: unreadable: {error}"] += 1
            return seen
        if run.steps.count < committed:
            seen[f"FAULT: {committed - run.steps.count} committed steps lost"] += 1
        if run.state == "finished":
            if run.journal is not None:
                completed(run)
                seen["killed while their file was completed"] += 1
            break
        if run.state != "interrupted":
            seen[f"FAULT: a killed run is called {run.state}"] += 1
        seen["resumed"] += 1
        work = partial(go_on, path)
    if content(path) != undisturbed:
        seen["FAULT: the end is not bit-identical"] += 1
    seen["ends compared"] += 1
    return seen


def main() -> int:
    """Kill as often as the command line says, print what was seen, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kills", type=int, nargs="?", default=1000, help="how many processes to kill")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments")
    wanted = parser.parse_args()
    began = time.monotonic()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        undisturbed: list[tuple[int, str]] = []
        durations: list[float] = []
        for k, (name, detection, _) in enumerate(EXPERIMENTS):
            path = place / f"undisturbed-{k}.h5"
            play(k, path.with_stem(f"warm-{k}"))  # whatever is compiled or imported is then at hand
            start = time.monotonic()
            killed(partial(play, k, path), 1e6)
            durations.append(time.monotonic() - start)
            undisturbed.append(content(path))
            print(f"{name}, {detection}: {undisturbed[-1][0]} steps in {durations[-1]:.2g} s", flush=True)
        chance = random.Random(wanted.seed)  # noqa: S311
        number = 0
        while total["kills"] < wanted.kills and not any(key.startswith("FAULT") for key in total):
            k = number % len(EXPERIMENTS)
            path = place / f"run-{number}.h5"
            total += torment(k, path, durations[k], undisturbed[k], chance)
            path.unlink(missing_ok=True)
            number += 1
            if number % 50 == 0:
                print(f"{total['kills']} kills", flush=True)
    faults = sum(count for what, count in total.items() if what.startswith("FAULT"))
    for what, count in sorted(total.items()):
        print(f"{count:6} {what}")
    print(f"{number} runs, {total['kills']} kills, {faults} faults in {time.monotonic() - began:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
