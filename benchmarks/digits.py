"""Digits learned in arrays of emulated devices: every row of the tables in docs/digits.md.

    python benchmarks/digits.py [rules | devices | burr | mnist] [--rule RULE] [--out FOLDER] [--epochs N]

rules: each rule on phase-change memory, 5 000 images, 784-100-10. devices: stochastic trains and mixed precision on
devices that go up and down. burr: the network of Burr et al., IEDM (2014). mnist: all of MNIST, 784-250-10. A row is
printed when its run has ended, and its run file stays in FOLDER (default: runs). mnist writes none, for the images of
its journal fill the disk, and prints each epoch.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labneuro import bench
from labneuro.bench import BenchFile
from labneuro.protocols.digits import DigitStep, FloatStep, digits
from labneuro.run import execute
from labneuro.store import RunFile

SPARING: dict[str, Any] = {"unit": 20e-6, "rate": 0.1, "fading": 0.6}
"""Small and fading changes: what a change costs in noise grows with the step over the unit."""
OFTEN: dict[str, Any] = {"upkeep": 10, "saturated": 5e-6, "difference": 5e-6}
"""Pairs written anew long before their end."""
ONLINE: dict[str, Any] = {"rate": 0.015, "fading": 0.6, "upkeep": 40, "difference": 6e-6}
"""For rules that draw pulses, on Burr's network."""
BOTH: dict[str, Any] = {"polarity": "both", "down": -1.3}
BURR: dict[str, Any] = {"size": (22, 24), "neurons": "tanh", "unit": 40e-6, "rate": 0.1}
BURR_FOURS = (
    ("columns = 500 ", "columns = 1000 "),
    ("columns = 250\n", "columns = 500\n"),
    ("columns = 20\n", "columns = 40\n"),
)

STEPS = {"GokmenVlasov": 16.4e-9, "EcRam": 34e-9, "Capacitor": 81e-9, "ReRamES": 17e-9, "ReRamSB": 20e-9}
"""Mean change of a device about the middle of its range by a pulse, S, measured on 64 x 64 of each."""


@dataclass(frozen=True)
class Row:
    """A run: on a shipped bench, with other devices or sizes if so said."""

    rule: str
    bench: str = "digits"
    device: str = ""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    columns: tuple[tuple[str, str], ...] = ()

    def bench_file(self) -> BenchFile:
        """Return its bench, with its own devices and sizes."""
        file = bench.load(self.bench)
        text = file.text.replace('"GokmenVlasov"', f'"{self.device}"') if self.device else file.text
        for old, new in self.columns:
            text = text.replace(old, new)
        return bench.parse(text, file.path)

    @property
    def name(self) -> str:
        """What its run file is called."""
        return "-".join(part for part in (self.bench, self.device, self.rule) if part)


def rows(kind: str) -> list[Row]:
    """Return the runs of a table."""
    if kind == "rules":
        return [
            Row("mixed-precision"),
            Row("direct"),
            Row("stochastic", options={**SPARING, **OFTEN}),
            Row("multi-memristive", "digits-fours"),
            Row("significant-pairs", "digits-fours", options={"upkeep": 400}),
        ]
    if kind == "devices":
        # The pulses at the start spread weights by about 0.1, whatever the step.
        return [
            Row(rule, "digits-both", device, {**BOTH, "step": step, "firsts": round(1.6e-6 / step)})
            for device, step in STEPS.items()
            for rule in ("stochastic", "mixed-precision", "direct")
        ]
    if kind == "burr":
        return [
            Row("stochastic", "digits-burr", options={**BURR, **ONLINE}),
            Row("direct", "digits-burr", options=BURR),
            Row("mixed-precision", "digits-burr", options=BURR),
            Row("multi-memristive", "digits-burr", options={**BURR, **ONLINE}, columns=BURR_FOURS),
            Row("significant-pairs", "digits-burr", options={**BURR, **ONLINE, "upkeep": 400}, columns=BURR_FOURS),
        ]
    sizes = (("columns = 200 ", "columns = 500 "), ("rows = 101 ", "rows = 251 "))
    options = {"data": "mnist", "batch": 50, "rate": 1.5, "fading": 0.8, "upkeep": 250}
    return [Row("mixed-precision", options=options, columns=sizes)]


def recorded(row: Row, options: dict[str, Any], folder: Path) -> Iterator[str]:
    """Run with a file; yield the result."""
    folder.mkdir(exist_ok=True, parents=True)
    number = sum(1 for _ in folder.glob(f"{row.name}*.h5"))
    path = folder / (f"{row.name}-{number + 1}.h5" if number else f"{row.name}.h5")
    result = execute(digits, row.bench_file(), options, path, progress=False)
    if result.state != "finished":
        raise SystemExit(f"{path}: {result.state}")
    run = RunFile(path)
    steps, exact = run.steps, run.records["float_step"]["held_out"][-1]
    train, held_out, pulses, energy = (steps[name][-1] for name in ("train", "held_out", "pulses", "energy"))
    yield f"{line(steps.count, train, held_out, exact, pulses, energy)}  {path.name}"


def unrecorded(row: Row, options: dict[str, Any]) -> Iterator[str]:
    """Run without a file; yield what each epoch brings."""
    epoch, step = 0, None
    with row.bench_file().open() as table:
        for record in digits(list(table.parts.values()), **options):  # type: ignore[arg-type]
            if isinstance(record, DigitStep):
                epoch, step = epoch + 1, record
            elif isinstance(record, FloatStep) and step is not None:
                yield line(epoch, step.train, step.held_out, record.held_out, step.pulses, step.energy)


def line(epochs: int, train: float, held_out: float, exact: float, pulses: int, energy: float) -> str:
    return (
        f"epochs {epochs:3}  train {train:.4f}  held out {held_out:.4f}  float {exact:.4f}  "
        f"pulses {pulses:10d}  energy {energy:.2e} J"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", default="rules", choices=["rules", "devices", "burr", "mnist"])
    parser.add_argument("--rule", help="only its rows")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    for row in rows(given.kind):
        if given.rule not in (None, row.rule):
            continue
        options = {"rule": row.rule, "epochs": given.epochs, **row.options}
        for result in unrecorded(row, options) if given.kind == "mnist" else recorded(row, options, given.out):
            print(f"{row.rule:18} {row.device or 'phase-change':14} {result}", flush=True)


if __name__ == "__main__":
    main()
