"""The commands about benches: what they say, and the exit status that a script goes by."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pyvisa

from labneuro.bench import load
from labneuro.cli import main
from labneuro.clock import VirtualClock

BENCH = """\
clock = "virtual"
[parts.bias]
driver = "yokogawa-gs200"
settings = { resource = "GPIB0::1::INSTR", source_range = "10 mA" }
limits = { max_current = "8 mA", max_compliance = "1 V" }
[parts.analyzer]
driver = "keysight-x-series"
settings = { resource = "GPIB0::2::INSTR" }
"""
RACK = """
[rack.devices.chip]
driver = "oscillators"
[rack.instruments]
bias = { model = "yokogawa-gs200", resource = "GPIB0::1::INSTR" }
analyzer = { model = "keysight-n9030b", resource = "GPIB0::2::INSTR" }
[rack.wires]
"bias -> chip.current1" = { resistance = "1 ohm" }
"chip.emission -> analyzer" = {}
"""
FREE_PORTS = ("--hislip", "0", "--vxi11", "0", "--socket", "0")


@pytest.fixture(autouse=True)
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bench.toml").write_text(BENCH + RACK)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command about benches; return its exit status, what it says and what it complains about."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["bench", *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lab() -> Any:
    """A rack that stays on, and a bench file of its instruments: they are in a laboratory then."""
    plan = load("bench.toml").rack
    assert plan is not None
    rack: Any = plan.build(VirtualClock())
    Path("lab.toml").write_text(BENCH.replace('::INSTR"', f'::INSTR", visa_library = "{rack.visa_library}"'))
    return rack


# Check


def test_a_bench_on_which_all_is_well_is_shown_part_by_part(say: Say):
    status, said, complaints = say("check", "bench.toml")
    assert (status, complaints) == (0, "")
    assert said.splitlines() == [
        "bias (yokogawa-gs200)",
        "instrument  YOKOGAWA,GS210,91T926460,2.02",
        "output      current 0 A",
        "own limit   compliance 30 V, limit 1 V: set to that when a run opens the bench",
        "errors      none",
        "analyzer (keysight-x-series)",
        "instrument  Keysight Technologies,N9030B,MY57141234,A.24.55",
        "output      has none",
        "errors      none",
        "all parts answer and are off",
    ]


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        ("gone", "trouble  InstrumentError: GPIB0::1::INSTR: the connection: the line was lost"),
        ("other", "trouble  InstrumentError: YokogawaGS200 at GPIB0::1::INSTR: is 'Keysight Technologies,N9030B"),
        ("on", "trouble     bench 'lab': bias: not confirmed safe: current 2 mA: switch it off by hand"),
        ("errors", 'errors      -113,"Undefined header"'),
    ],
)
def test_a_bench_in_trouble_says_which_part_and_a_script_knows(say: Say, lab: Any, trouble: str, says: str):
    instruments, bias = lab.library.instruments, "GPIB0::1::INSTR"
    if trouble == "gone":
        del instruments[bias]
    elif trouble == "other":
        instruments[bias] = instruments["GPIB0::2::INSTR"]
    else:
        message = ":FOO 1" if trouble == "errors" else ":SOUR:FUNC CURR;:SOUR:RANG 10E-3;:OUTP 1;:SOUR:LEV 2E-3"
        pyvisa.ResourceManager(lab.visa_library).open_resource(bias).write(message)
    status, said, complaints = say("check", "lab.toml")
    assert (status, complaints) == (1, "")
    assert [line for line in said.splitlines() if line.startswith(says)]
    assert said.splitlines()[-1] == "1 part in trouble"
    assert "Keysight Technologies,N9030B" in said  # the other is checked all the same


def test_what_an_instrument_says_of_itself_does_not_steer_the_terminal(say: Say, lab: Any):
    lab.bare["bias"].identity = "YOKOGAWA,GS210,\x1b[2J[red]"
    assert "YOKOGAWA,GS210, [2J[red]" in say("check", "lab.toml")[1]


# Scan


def test_a_scan_lists_what_there_is_with_the_drivers_that_fit(say: Say, lab: Any):
    for library in ("bench.toml@labneuro", lab.visa_library):
        status, said, complaints = say("scan", "--visa-library", library)
        assert (status, complaints) == (0, "")
        assert said.splitlines() == [
            "GPIB0::1::INSTR",
            "instrument  YOKOGAWA,GS210,91T926460,2.02",
            "drivers     yokogawa-gs200",
            "GPIB0::2::INSTR",
            "instrument  Keysight Technologies,N9030B,MY57141234,A.24.55",
            "drivers     keysight-x-series",
            "2 VISA resources",
        ]


def test_what_no_driver_is_for_and_what_is_silent_is_listed_too(say: Say, lab: Any):
    lab.bare["bias"].identity = "HEWLETT-PACKARD,34401A,0,11-5-2"
    lab.bare["analyzer"].handle = lambda session, message: None
    status, said, _ = say("scan", "--visa-library", lab.visa_library)
    assert status == 0
    assert said.splitlines()[1:3] == ["instrument  HEWLETT-PACKARD,34401A,0,11-5-2", "drivers     none fits"]
    assert said.splitlines()[4].startswith("instrument  an answer: time-out")


# Bad input


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["srve"], 2, "no command 'bench srve'; did you mean serve?"),
        (["check"], 2, "the following arguments are required: BENCH"),
        (["check", "gone.toml"], 2, "gone.toml: no such file"),
        (["scan", "--timeout", "0"], 2, "--timeout 0: give seconds, from above 0 to 1000"),
        (["scan", "--visa-library", "gone.toml@labneuro"], 1, "no rack 'gone.toml': give the path of a bench file"),
        (["serve", "emulated"], 2, "emulated.toml has no table [rack]: there is nothing to serve"),
        (["serve", "bench.toml", "--hislip", "many"], 2, "argument --hislip: invalid int value: 'many'"),
    ],
)
def test_bad_input_is_one_line(say: Say, arguments: list[str], status: int, complaint: str):
    found, said, complaints = say(*arguments)
    assert (found, said) == (status, "")
    assert complaints.startswith("labneuro: ")
    assert complaints.count("\n") == 1
    assert complaint in complaints


def test_help_names_the_commands(say: Say):
    for arguments in ([], ["--help"]):
        status, said, _ = say(*arguments)
        assert status == 0
        assert re.findall(r"^  (check|scan|serve) +\w", said, re.MULTILINE) == ["check", "scan", "serve"]


# Serve


@contextmanager
def serving(*arguments: str) -> Generator[tuple[subprocess.Popen[str], list[str]], None, None]:
    """A server in a process of its own, and what it has said once it serves."""
    code = "from labneuro.cli import main; raise SystemExit(main())"
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-c", code, "bench", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        try:
            for line in process.stdout:
                said.append(line.strip())
                if "serving" in line:
                    break
            yield process, said
        finally:
            process.kill()


@pytest.mark.skipif(os.name != "posix", reason="needs the signals of POSIX")
@pytest.mark.parametrize(("by", "kills"), [(signal.SIGINT, False), (signal.SIGTERM, True)])
def test_what_is_served_is_reached_until_it_is_stopped(by: signal.Signals, kills: bool):
    with serving("bench.toml", *FREE_PORTS) as (process, said):
        resources = [line for line in said if line.startswith("TCPIP")]
        assert said == ["bias", *resources[:3], "", "analyzer", *resources[3:], "serving until Ctrl-C"]
        assert all("127.0.0.1" in resource for resource in resources)
        manager = pyvisa.ResourceManager("@py")
        for resource, answer in zip(resources, ["YOKOGAWA"] * 3 + ["Keysight"] * 3, strict=True):
            with manager.open_resource(resource, read_termination="\n", write_termination="\n", timeout=10_000) as one:
                assert one.query("*IDN?").startswith(answer)
        with manager.open_resource(resources[0], timeout=10_000) as bias:
            level = "14E-3" if kills else "5E-3"
            bias.write(f":SOUR:FUNC CURR;:SOUR:RANG 100E-3;:OUTP 1;:SOUR:LEV {level}")
            assert float(bias.query(":SOUR:LEV?")) == float(level)
        process.send_signal(by)
        rest, complaints = process.communicate(timeout=30)
    assert process.returncode == int(kills)
    lines = rest.splitlines()
    assert lines[0] == "stopped"
    assert [line.split(":")[0] for line in lines[1:]] == (["chip"] if kills else [])
    assert ("oscillator 1 is destroyed" in rest) is kills
    assert ("oscillator 1 is destroyed" in complaints) is kills
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(resources[2].split("::")[2])), timeout=5).close()


def test_a_port_that_is_taken_is_one_line(say: Say, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(signal, "signal", lambda name, handler: None)
        status, said, complaints = say("serve", "bench.toml", "--hislip", str(port), "--vxi11", "0")
    assert (status, said) == (1, "")
    assert re.fullmatch(
        rf"labneuro: .*can't listen on port {port} of 127.0.0.1: .*: give another hislip.*\n", complaints
    )
