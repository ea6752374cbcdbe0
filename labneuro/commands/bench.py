"""Commands about benches: check one, look for instruments, serve emulated ones."""

# ruff: noqa: PLC0415 - drivers and compilers are loaded by the commands that need them

import signal
import sys
import threading
from collections.abc import Callable

from labneuro.commands.parsing import Parser, UsageError, counted


def bench(arguments: list[str]) -> int:
    """Check a bench, look for instruments, or serve emulated ones."""
    commands: dict[str, Callable[[list[str]], int]] = {"check": _check, "scan": _scan, "serve": _serve}
    name, *rest = arguments or ["--help"]
    if name in commands:
        return commands[name](rest)
    if not name.startswith("-"):
        from labneuro.parameters import suggestion

        raise UsageError(f"no command 'bench {name}'; {suggestion(name, commands)}")
    parser = Parser("labneuro bench", "Check a bench, look for instruments, or serve emulated ones.")
    parser.usage = "labneuro bench COMMAND ..."
    lines = [f"  {command:<7}{(function.__doc__ or '').rstrip('.')}" for command, function in commands.items()]
    parser.epilog = "\n".join(["commands:", *lines, "", "labneuro bench COMMAND --help says more."])
    parser.read(arguments or ["--help"])
    return 0


def _check(arguments: list[str]) -> int:
    """Talk to every part of a bench, and change nothing."""
    words = "Talk to every part of a bench: identity, outputs, own limits, error queue. No output is changed."
    parser = Parser("labneuro bench check", f"{words} Exit status 1 unless all is well.")
    parser.add_argument("bench", metavar="BENCH", help="a bench file, or the name of a bench that comes with labneuro")
    given = parser.read(arguments)

    from rich.console import Console

    from labneuro.bench import load
    from labneuro.check import check
    from labneuro.layout import printable, show

    console, bad = Console(), 0
    for checked in check(load(given["bench"])):
        lines = [
            ("trouble", checked.trouble),
            ("instrument", checked.identity),
            ("output", checked.output),
            ("own limit", checked.own_limit),
            ("errors", "; ".join(checked.errors) or ("none" if checked.identity else "")),
        ]
        title = f"{checked.part} ({checked.driver})"
        show({title: [(label, printable(text)) for label, text in lines if text]}, console)
        bad += bool(checked.trouble or checked.errors)
    console.print(f"{counted(bad, 'part')} in trouble" if bad else "all parts answer and are off", highlight=False)
    return 1 if bad else 0


def _scan(arguments: list[str]) -> int:
    """List VISA resources and which drivers fit."""
    parser = Parser("labneuro bench scan", "List all VISA resources, what each says it is, and the drivers that fit.")
    words = 'as PyVISA takes it, such as "@py" (default: what PyVISA finds)'
    parser.add_argument("--visa-library", metavar="LIBRARY", default="", help=words)
    parser.add_argument("--timeout", metavar="S", type=float, default=1.0, help="longest time that an answer takes")
    parser.add_argument("--serial", action="store_true", help="ask serial lines too, whatever is connected to them")
    given = parser.read(arguments)
    if not 0 < given["timeout"] < 1e3:
        raise UsageError(f"--timeout {given['timeout']:g}: give seconds, from above 0 to 1000")

    from rich.console import Console

    from labneuro.layout import printable, show
    from labneuro.registry import load_scanner

    console, found = Console(), 0
    for found, seen in enumerate(  # noqa: B007
        load_scanner()(given["visa_library"], given["timeout"], serial=given["serial"]), start=1
    ):
        lines = [
            ("instrument", seen.identity or seen.trouble),
            ("drivers", ", ".join(seen.drivers) or ("none fits" if seen.identity else "")),
        ]
        show({seen.resource: [(label, printable(text)) for label, text in lines if text]}, console)
    console.print(f"{counted(found, 'VISA resource')}", highlight=False)
    return 0


def _serve(arguments: list[str]) -> int:
    """Let other programs reach the emulated instruments of a bench."""
    words = "Serve the emulated instruments of a bench on the network, until Ctrl-C or SIGTERM."
    parser = Parser("labneuro bench serve", f"{words} Exit status 1 if a device was destroyed.")
    parser.add_argument("bench", metavar="BENCH", help="a bench file with a table [rack], or the name of such a bench")
    here = "127.0.0.1"
    host = f"address to listen at; nobody is asked for a password (default: {here}, this machine only)"
    parser.add_argument("--host", metavar="ADDRESS", default=here, help=host)
    ports = {
        "hislip": (4880, "all"),
        "vxi11": (4881, "all"),
        "socket": (5025, "the first instrument, the next the next"),
    }
    for protocol, (port, whose) in ports.items():
        words = f"port of {whose} (default: {port}; 0: any that is free)"
        parser.add_argument(f"--{protocol}", metavar="PORT", type=int, default=port, help=words)
    given = parser.read(arguments)

    from rich.console import Console

    from labneuro.bench import load, new_clock
    from labneuro.layout import show

    bench = load(given["bench"])
    if bench.rack is None:
        raise UsageError(f"{bench.called} has no table [rack]: there is nothing to serve")
    bench.rack.warm_up()
    over = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: over.set())
    rack = bench.rack.build(new_clock(bench))
    console = Console()
    try:
        with rack.serve(given["host"], {protocol: given[protocol] for protocol in ports}) as reached:
            show({name: [("", resource) for resource in resources] for name, resources in reached.items()}, console)
            console.print("serving until Ctrl-C", highlight=False)
            sys.stdout.flush()
            over.wait()
        console.print("stopped", highlight=False)
        for death in rack.deaths:
            console.print(death, highlight=False, soft_wrap=True)
        return 1 if rack.deaths else 0
    finally:
        rack.close()
