"""How every benchmark here reports: a table for people, with --json one object for machines."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Measure:
    """One figure beside a peer's in the same run; `ratio` says how many times better ours is."""

    ours: float
    peer: float | None
    peer_name: str
    unit: str
    higher_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """Our figure over the peer's, turned so that more is better; None without a peer."""
        if not self.peer:
            return None
        return self.ours / self.peer if self.higher_is_better else self.peer / self.ours


def best_of(work: Callable[[], object], repeats: int = 7) -> float:
    """Return the shortest wall time of `work`, s, after one call that compiles and warms up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def command_line(title: str) -> argparse.ArgumentParser:
    """Return the options that every benchmark has; one with more adds its own and hands `report` what was given."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser


def report(title: str, measures: dict[str, Measure], given: argparse.Namespace | None = None) -> None:
    """Print the table, or with --json on the command line the object {measure: {ours, peer, ...}}."""
    if (given or command_line(title).parse_args()).json:
        print(
            json.dumps(
                {
                    name: {"ours": m.ours, "peer": m.peer, "peer_name": m.peer_name, "ratio": m.ratio, "unit": m.unit}
                    for name, m in measures.items()
                },
                indent=2,
            )
        )
        return
    table = Table("measure", "ours", "peer", "peer is", "ratio", title=title, title_justify="left")
    for name, m in measures.items():
        peer = "" if m.peer is None else f"{_short(m.peer)} {m.unit}"
        ratio = "" if m.ratio is None else _short(m.ratio)
        table.add_row(name, f"{_short(m.ours)} {m.unit}", peer, m.peer_name, ratio)
    Console().print(table)


def _short(value: float) -> str:
    """Return three digits, and no exponent below a million: 21600 and not 2.16e+04."""
    return f"{float(f'{value:.3g}'):g}"
