from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from annotated_types import Ge

from labneuro import bench, registry
from labneuro.bench import BenchError, BenchFile, load, parse
from labneuro.clock import Clock, VirtualClock, WallClock
from labneuro.limits import LimitedOscillatorChip, LimitError, OscillatorLimits, UnsafeError
from labneuro.racks import Rack, RackPlan, Refusal, Values
from labneuro.roles import CurrentSource, OscillatorChip, PulseGenerator, RFSource, Role, SpectrumAnalyzer, Wiring
from labneuro.signals import Pulses, Spectrum, StateArray, Tones
from labneuro.units import Duration, FloatArray

# --- Parts that note what happens to them


class Noting(Role):
    """A part that notes in `events` what the bench does to it, and fails as told in `fails`."""

    events: ClassVar[list[str]] = []
    fails: ClassVar[dict[str, BaseException]] = {}
    name: ClassVar[str] = ""

    def _note(self, what: str) -> None:
        self.events.append(f"{self.name} {what}")
        if failure := self.fails.get(f"{self.name} {what}"):
            raise failure

    @property
    def identity(self) -> str:
        return self.name

    def make_safe(self) -> None:
        self._note("safe")

    def close(self) -> None:
        self._note("closed")


class Chip(Noting, OscillatorChip):
    """A chip with the settings of the emulated one."""

    name = "chip"

    def __init__(
        self,
        *,
        seed: int = 0,
        oscillators: Annotated[int, Ge(1)] = 4,
        detection: Literal["phases", "spectra"] = "phases",
        settling: Duration = 1e-6,
        clock: Clock | None = None,
    ) -> None:
        self._note("made")
        self.settings = (seed, oscillators, detection, settling)
        self.clock = clock
        self._currents: FloatArray = np.zeros(oscillators)

    @property
    def oscillators(self) -> int:
        return len(self._currents)

    @property
    def sources(self) -> int:
        return 2

    @property
    def wiring(self) -> Wiring:
        return "separate"

    @property
    def currents(self) -> FloatArray:
        return self._currents

    def set_currents(self, currents: FloatArray) -> None:
        self._currents = currents

    def apply(self, tones: Tones | None) -> None:
        if tones is None:
            self._note("rf off")

    def spectrum(self) -> Spectrum:
        raise NotImplementedError

    def spectra(self, tones: Tones) -> Spectrum:
        raise NotImplementedError

    def synchronisation(self, tones: Tones) -> StateArray:
        raise NotImplementedError


class Generator(Noting, RFSource):
    name = "rf"

    def __init__(self) -> None:
        self._note("made")

    @property
    def frequency(self) -> float:
        return 0.0

    @property
    def power(self) -> float:
        return 0.0

    def set_tone(self, frequency: float, power: float) -> None: ...


class Analyzer(Noting, SpectrumAnalyzer):
    name = "analyzer"

    def __init__(self) -> None:
        self._note("made")

    def configure(self, start: float, stop: float, *, rbw: float, averages: int) -> None: ...

    def trace(self) -> Spectrum:
        raise NotImplementedError


class Source(CurrentSource):
    """Abstract: it can't be constructed."""


class Bias(Noting, CurrentSource):
    """A current source that keeps the compliance it is given, or `kept`."""

    name = "bias"
    kept: ClassVar[float | None] = None

    def __init__(self) -> None:
        self._note("made")
        self._current = 0.0
        self._compliance = 21.0

    @property
    def compliance(self) -> float:
        return self._compliance

    def set_compliance(self, voltage: float) -> None:
        self._note(f"{voltage:g} V")
        self._compliance = self.kept or voltage

    @property
    def current(self) -> float:
        return self._current

    def set_current(self, current: float) -> None:
        self._note(f"{current:g} A")
        self._current = current


class Relay(Bias):
    """A current source that can short its output."""

    def short_output(self) -> None:
        self._note("shorted")


class Pulser(Noting, PulseGenerator):
    name = "pulser"

    def fire(self, pulses: Pulses) -> None: ...


class Rig(Chip):
    """A chip made of current sources and a generator."""

    name = "rig"

    def __init__(self, biases: Sequence[CurrentSource], rf: RFSource, *, seed: int = 0) -> None:
        super().__init__(seed=seed, oscillators=len(biases))
        self.made_of = [*biases, rf]


class Wired(Bias):
    """A current source that is found through a VISA library."""

    def __init__(self, *, visa_library: str = "") -> None:
        self.library = visa_library
        super().__init__()


class Laser(Role):
    """A role without an envelope."""


DRIVERS: dict[str, type[Role]] = {
    "oscillators": Chip,
    "generator": Generator,
    "my_generator": Generator,
    "analyzer": Analyzer,
    "source": Source,
    "bias": Bias,
    "relay": Relay,
    "pulser": Pulser,
    "rig": Rig,
    "wired": Wired,
    "laser": Laser,
}

CHIP = """\
name = "ours"
clock = "virtual"

[parts.chip]
driver = "oscillators"
[parts.chip.settings]
seed = 3
[parts.chip.limits]
max_current = "8 mA"
max_rf_power = "5 dBm"
ramp = "0.1 mA/ms"
"""
RF = """
[parts.rf]
driver = "generator"
limits = { max_power = "5 dBm" }
"""
ANALYZER = """
[parts.analyzer]
driver = "analyzer"
"""
BIAS = """
[parts.bias]
driver = "bias"
limits = { max_current = "8 mA", max_compliance = "2 V" }
"""
PULSER = """
[parts.pulser]
driver = "pulser"
limits = { max_amplitude = "2 V", max_width = "1 ms" }
"""


@pytest.fixture(autouse=True)
def drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_driver(name: str) -> type[Role]:
        if name not in DRIVERS:
            raise registry.UnknownNameError(f"no driver {name!r} is installed; did you mean oscillators?")
        return DRIVERS[name]

    monkeypatch.setattr(registry, "load_driver", load_driver)
    monkeypatch.setattr(Noting, "events", [])
    monkeypatch.setattr(Noting, "fails", {})
    monkeypatch.setattr(Bias, "kept", None)


Write = Callable[[str], BenchFile]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a text to my.toml in the working folder and load it."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(text: str) -> BenchFile:
        Path("my.toml").write_text(text, encoding="utf-8")
        return load("my.toml")

    return write_and_load


# --- Reading


def test_a_bench_file_is_read_with_its_units_and_nothing_is_connected(read: Write) -> None:
    file = read(CHIP + RF)
    assert (file.name, file.clock, file.text) == ("ours", "virtual", CHIP + RF)
    assert file.parts["chip"].settings == {
        "seed": 3,
        "oscillators": 4,
        "detection": "phases",
        "settling": 1e-6,
    }
    limits = file.parts["chip"].limits
    assert isinstance(limits, OscillatorLimits)
    assert limits.max_current == pytest.approx(8e-3, rel=1e-14)
    assert limits.max_rf_power == pytest.approx(10**0.5 * 1e-3, rel=1e-14)
    assert limits.ramp == pytest.approx(0.1, rel=1e-14)
    assert Noting.events == []


def test_what_a_file_leaves_out_has_a_careful_default(read: Write) -> None:
    file = read(RF)
    assert (file.name, file.description, file.clock, list(file.safe_order)) == ("my", "", "wall", ["rf"])


def test_parts_not_named_in_safe_order_follow_by_kind_and_then_in_the_order_of_the_file(read: Write) -> None:
    parts = ANALYZER + BIAS + RF.replace("parts.rf", "parts.second") + CHIP.partition("\n\n")[2] + PULSER + RF
    assert list(read(parts).safe_order) == ["second", "rf", "pulser", "chip", "bias", "analyzer"]
    first = 'safe_order = ["bias", "rf"]\n'
    assert list(read(first + parts).safe_order) == ["bias", "rf", "second", "pulser", "chip", "analyzer"]


def test_a_recorded_text_is_checked_as_its_file_was(read: Write) -> None:
    file = read(CHIP + RF)
    again = parse(file.text, file.path, file.called)
    assert again.called == file.called == "my.toml"
    assert again == file
    with pytest.raises(BenchError, match=r"^gone/my.toml:4: parts.rf.limits.max_pover: unknown key"):
        parse(RF.replace("max_power", "max_pover"), Path("gone/my.toml"))


def test_outputs_that_outlive_the_process_have_a_guardian(read: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"oscillators": "labneuro.simulators", "generator": "labneuro.drivers"}
    offered = {name: EntryPoint(name, "lab:Driver", group) for name, group in groups.items()}
    monkeypatch.setattr(registry, "drivers", lambda: offered)
    both = read(CHIP + RF)
    assert {name: plan.real for name, plan in both.parts.items()} == {"chip": False, "rf": True}
    assert both.guarded
    assert not read(CHIP).guarded
    assert not read("guardian = false\n" + CHIP + RF).guarded
    assert read("guardian = true\n" + CHIP).guarded


def test_a_file_from_an_editor_with_a_byte_order_mark_and_windows_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + CHIP.replace("\n", "\r\n").encode())
    assert load(path).name == "ours"


# --- The page about it

PAGE = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
EXAMPLE = PAGE.partition("```toml\n")[2].partition("```")[0]


def test_the_example_on_the_page_is_a_bench(read: Write) -> None:
    file = read(EXAMPLE)
    assert list(file.parts) == ["chip", "rf"]
    assert list(file.safe_order) == ["rf", "chip"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_current =", "max_curent ="),
        ('"8 mA"\n', "8\n"),
        (EXAMPLE[EXAMPLE.index("[parts.chip.limits]") : EXAMPLE.index("[parts.rf]")], ""),
    ],
)
def test_the_errors_on_the_page_are_those_that_come(read: Write, old: str, new: str) -> None:
    assert EXAMPLE.count(old) == 1
    with pytest.raises(BenchError) as caught:
        read(EXAMPLE.replace(old, new))
    assert str(caught.value).replace("my.toml", "my-bench.toml") in PAGE.splitlines()


# --- Errors


def edited(old: str, new: str) -> str:
    assert CHIP.count(old) == 1
    return CHIP.replace(old, new)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            edited("max_current", "max_curent"),
            "my.toml:9: parts.chip.limits.max_curent: unknown key; did you mean max_current?",
        ),
        (
            edited('"8 mA"', "8"),
            'my.toml:9: parts.chip.limits.max_current: 8 has no unit: give a value above 0 A, such as "1 mA"',
        ),
        (
            edited('"8 mA"', '"8"'),
            "my.toml:9: parts.chip.limits.max_current: '8' has no unit: write a number",
        ),
        (
            edited('"8 mA"', '"8 mV"'),
            "my.toml:9: parts.chip.limits.max_current: '8 mV' can't be converted to A: write a number",
        ),
        (
            edited('"8 mA"', '"-8 mA"'),
            "my.toml:9: parts.chip.limits.max_current: '-8 mA' is not allowed: give a value above 0 A",
        ),
        (edited('"8 mA"', "nan"), "my.toml:9: parts.chip.limits.max_current: nan has no unit: give a value"),
        (
            edited('"8 mA"', "true"),
            "my.toml:9: parts.chip.limits.max_current: True is not allowed: give a value above 0 A",
        ),
        (
            edited('max_current = "8 mA"\n', ""),
            "my.toml:8: parts.chip.limits.max_current: missing key: give a value above 0 A",
        ),
        (
            CHIP.partition("[parts.chip.limits]")[0],
            "my.toml:4: parts.chip.limits: missing: no OscillatorChip is used without limits; "
            "add [parts.chip.limits] with at least max_current (A), max_rf_power (W)",
        ),
        (
            edited("seed = 3", "sed = 3"),
            "my.toml:7: parts.chip.settings.sed: unknown key; did you mean seed?",
        ),
        (
            edited("seed = 3", 'seed = "three"'),
            "my.toml:7: parts.chip.settings.seed: 'three' is not allowed: give an integer",
        ),
        (edited("seed = 3", "clock = 3"), "my.toml:7: parts.chip.settings.clock: unknown key; known: seed"),
        (edited("seed = 3", "settling = 1e-6"), "my.toml:7: parts.chip.settings.settling: 1e-06 has no unit"),
        (
            edited("seed = 3", 'detection = "phase"'),
            "my.toml:7: parts.chip.settings.detection: 'phase' is not allowed: "
            "give one of phases, spectra; did you mean phases?",
        ),
        (
            edited('"oscillators"', '"oscilators"'),
            "my.toml:5: parts.chip.driver: no driver 'oscilators' is installed; did you mean oscillators?",
        ),
        (edited('"oscillators"', "5"), "my.toml:5: parts.chip.driver: 5 is not allowed: give text"),
        (edited('driver = "oscillators"\n', ""), "my.toml:4: parts.chip.driver: missing key: give text"),
        (
            edited('"oscillators"', '"laser"'),
            "my.toml:5: parts.chip.driver: Laser can't be guarded: it must play one of RFSource",
        ),
        (
            edited('"virtual"', '"virtuel"'),
            "my.toml:2: clock: 'virtuel' is not allowed: give one of wall, virtual; did you mean virtual?",
        ),
        (edited('"ours"', "7"), "my.toml:1: name: 7 is not allowed: give text"),
        (edited("name", "nane"), "my.toml:1: nane: unknown key; did you mean name?"),
        (
            edited("[parts.chip]\n", "[parts.'the chip']\n[parts.chip]\n"),
            "my.toml:4: parts.'the chip': not a name",
        ),
        ("parts.chip = 3", "my.toml:1: parts.chip: 3 is not a part: write a table [parts.chip]"),
        ("parts = 3", "my.toml:1: parts: 3 is not allowed: give a table"),
        ("[parts]", "my.toml:1: parts: the bench is empty: add a table such as [parts.chip]"),
        ("", "my.toml:1: parts: missing key: give a table"),
        ('safe_order = ["chi"]\n' + CHIP + RF, "my.toml:1: safe_order: no part 'chi'; did you mean chip?"),
        (
            RF.replace("max_power", "max_pover"),
            "my.toml:4: parts.rf.limits.max_pover: unknown key; did you mean max_power?",
        ),
        (
            RF.replace("}", ', min_frequency = "4 GHz", max_frequency = "3 GHz" }'),
            "my.toml:4: parts.rf.limits.min_frequency: 4 GHz is not below max_frequency, 3 GHz",
        ),
        (
            ANALYZER + 'limits = { max_power = "5 dBm" }\n',
            "my.toml:4: parts.analyzer.limits: SpectrumAnalyzer has no limits: remove this table",
        ),
        (edited("seed = 3", "seed = "), "my.toml:7: not TOML: Invalid value"),
        (CHIP + "[parts.chip]\n", "my.toml:12: not TOML: Cannot declare"),
        (CHIP + 'x = """never closed', "my.toml:12: not TOML: "),
        ("x = " + "[" * 5000, "my.toml:1: not TOML: "),
        ("x = " + "1" * 5000, "my.toml:1: not TOML: "),
    ],
)
def test_an_error_names_file_line_key_value_and_way_out_in_one_line(read: Write, text: str, says: str) -> None:
    with pytest.raises(BenchError) as caught:
        read(text)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)
    assert Noting.events == []


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes('name = "Gerät"'.encode("latin-1"))
    with pytest.raises(BenchError, match=r"latin\.toml: byte 12 is not UTF-8: save the file as UTF-8"):
        load(tmp_path / "latin.toml")
    with pytest.raises(BenchError, match=r"mine\.toml: no such file: give a bench file, or one of .*emulated"):
        load(tmp_path / "mine.toml")
    with pytest.raises(BenchError, match=": not a file: give a bench file"):
        load(tmp_path)
    with pytest.raises(BenchError, match=r"no bench 'emulatd' .*; did you mean emulated\?"):
        load("emulatd")
    with pytest.raises(BenchError, match="File name too long"):
        load("x" * 5000 + ".toml")
    with pytest.raises(BenchError, match="no such file"):
        load("nul\0.toml")


# --- Opening and leaving


def lesson(chip: OscillatorChip) -> Iterator[None]:
    yield


def test_an_open_bench_has_its_parts_behind_their_limits(read: Write) -> None:
    with read(CHIP + ANALYZER).open() as opened:
        chip = opened.parts["chip"]
        assert isinstance(chip, LimitedOscillatorChip)
        chip.set_currents(np.full(4, 4e-3))
        assert isinstance(opened.clock, VirtualClock)
        assert opened.clock.now() == pytest.approx(40e-3, abs=1.01e-3)
        with pytest.raises(LimitError) as caught:
            chip.set_currents(np.array([0, 12e-3, 0, 0]))
        assert str(caught.value) == "bench 'ours': chip: oscillator 2 asked for 12 mA, limit 8 mA (my.toml:9)"
        assert chip.currents.tolist() == [4e-3] * 4
        assert isinstance(opened.parts["analyzer"], Analyzer)


@pytest.mark.parametrize(("clock", "cls"), [("virtual", VirtualClock), ("wall", WallClock)])
def test_the_bench_hands_its_clock_to_drivers_that_wait(
    read: Write, monkeypatch: pytest.MonkeyPatch, clock: str, cls: type[Clock]
) -> None:
    made: list[Chip] = []
    monkeypatch.setattr(Chip, "_note", lambda self, what: made.append(self))
    with read(CHIP.replace('"virtual"', f'"{clock}"')).open() as opened:
        assert type(opened.clock) is cls
        assert made[0].clock is opened.clock
        assert made[0].settings == (3, 4, "phases", 1e-6)


def test_all_parts_are_made_safe_in_their_order_before_any_is_closed(read: Write) -> None:
    with read('safe_order = ["rf", "chip"]\n' + CHIP + RF + ANALYZER).open() as opened:
        assert Noting.events == ["chip made", "rf made", "analyzer made"]
        Noting.events.clear()
    assert Noting.events == [
        "rf safe",
        "chip rf off",
        "chip safe",
        "analyzer safe",
        "chip closed",
        "rf closed",
        "analyzer closed",
    ]
    assert opened.safety_report == [("rf", "safe"), ("chip", "safe"), ("analyzer", "safe")]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_the_bench_is_left_safe_whatever_ends_its_use(read: Write, error: BaseException) -> None:
    file = read(CHIP)

    def use(opened: bench.Bench) -> None:
        opened.parts["chip"].set_currents(np.full(4, 8e-3))
        raise error

    with pytest.raises(type(error)) as caught, file.open() as opened:
        use(opened)
    assert caught.value is error
    assert Noting.events == ["chip made", "chip rf off", "chip safe", "chip closed"]
    assert opened.safety_report == [("chip", "safe")]
    assert opened.clock.now() == pytest.approx(160e-3, abs=2.1e-3)  # 80 ms up and 80 ms down


@pytest.mark.parametrize("failure", [OSError("the line is dead"), KeyboardInterrupt()])
@pytest.mark.parametrize("event", ["chip rf off", "chip safe", "rf safe", "rf closed", "analyzer closed"])
def test_no_part_that_fails_keeps_another_from_being_made_safe_and_closed(
    read: Write, event: str, failure: BaseException
) -> None:
    file = read('safe_order = ["rf"]\n' + CHIP + RF + ANALYZER)
    Noting.fails[event] = failure
    expected = ExceptionGroup if isinstance(failure, Exception) else KeyboardInterrupt
    with pytest.raises(expected) as caught, file.open() as opened:
        Noting.events.clear()
    assert Noting.events == [
        "rf safe",
        "chip rf off",
        "chip safe",
        "analyzer safe",
        "chip closed",
        "rf closed",
        "analyzer closed",
    ]
    part = event.partition(" ")[0]
    report = dict(opened.safety_report)
    assert [name for name, said in report.items() if said != "safe"] == ([] if "closed" in event else [part])
    if isinstance(failure, Exception):
        assert str(caught.value).startswith("on leaving bench 'ours': ")
        assert "OSError: the line is dead" in str(caught.value)


def test_trouble_on_leaving_is_noted_on_the_error_that_is_already_on_its_way(read: Write) -> None:
    file = read(CHIP + RF)
    Noting.fails |= {"rf safe": OSError("the line is dead"), "chip closed": OSError("so is this one")}
    with pytest.raises(RuntimeError, match="a bug") as caught, file.open():
        raise RuntimeError("a bug")
    assert caught.value.__notes__ == [
        "on leaving bench 'ours': rf was not made safe: OSError: the line is dead",
        "on leaving bench 'ours': chip was not closed: OSError: so is this one",
    ]


@pytest.mark.parametrize("failure", [OSError("no answer\nfrom GPIB0::7"), KeyboardInterrupt()])
def test_if_one_part_does_not_start_those_before_it_are_made_safe_and_closed(
    read: Write, failure: BaseException
) -> None:
    file = read(CHIP + RF + ANALYZER)
    Noting.fails["analyzer made"] = failure
    expected = BenchError if isinstance(failure, Exception) else KeyboardInterrupt
    with pytest.raises(expected) as caught, file.open():
        pytest.fail("the bench opened without its analyzer")
    assert Noting.events == [
        "chip made",
        "rf made",
        "analyzer made",
        "rf safe",
        "chip rf off",
        "chip safe",
        "chip closed",
        "rf closed",
    ]
    if isinstance(failure, Exception):
        says = "my.toml:18: parts.analyzer: 'analyzer' did not start: OSError: no answer from GPIB0::7"
        assert str(caught.value) == says
        assert caught.value.__cause__ is failure


def test_a_confirmation_of_each_part_is_told_as_soon_as_it_was_made_safe(read: Write) -> None:
    told: list[tuple[str, str, bool]] = []

    def tell(part: str, words: str, confirmed: bool) -> None:
        Noting.events.append(f"{part} told")
        told.append((part, words, confirmed))

    Noting.fails["chip safe"] = OSError("the line is dead")
    with (
        pytest.raises(ExceptionGroup, match="chip was not made safe: OSError: the line is dead"),
        read(CHIP + RF + PULSER + BIAS + ANALYZER).open(tell),
    ):
        Noting.events.clear()
    assert told == [
        ("rf", "power 0 W", True),
        ("pulser", "made safe; it has no level to read back", True),
        ("chip", "currents 0 A, 0 A, 0 A, 0 A; chip was not made safe: OSError: the line is dead", False),
        ("bias", "current 0 A", True),
        ("analyzer", "has no output", True),
    ]
    assert Noting.events[:5] == ["rf safe", "rf told", "pulser safe", "pulser told", "chip rf off"]


@pytest.mark.parametrize("failure", [OSError("the disk is full"), KeyboardInterrupt()])
def test_a_confirmation_that_nobody_can_take_keeps_no_part_from_being_made_safe(
    read: Write, failure: BaseException
) -> None:
    def tell(part: str, words: str, confirmed: bool) -> None:
        raise failure

    expected = ExceptionGroup if isinstance(failure, Exception) else KeyboardInterrupt
    with pytest.raises(expected), read(CHIP + RF).open(tell) as opened:
        Noting.events.clear()
    assert Noting.events == ["rf safe", "chip rf off", "chip safe", "chip closed", "rf closed"]
    assert opened.safety_report == [("rf", "safe"), ("chip", "safe")]


def test_a_part_that_does_not_read_back_as_off_is_plain_in_the_error(
    read: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Generator, "power", property(lambda self: 1e-3))
    says = "bench 'ours': rf: not confirmed safe: power 0 dBm: switch it off by hand"
    told: list[tuple[str, str, bool]] = []
    with (
        pytest.raises(ExceptionGroup, match=f"^on leaving bench 'ours': UnsafeError: {says}"),
        read(CHIP + RF).open(lambda *said: told.append(said)) as opened,
    ):
        pass
    assert told[0] == ("rf", f"UnsafeError: {says}", False)
    assert opened.safety_report == [("rf", f"UnsafeError: {says}"), ("chip", "safe")]


def test_an_output_is_shorted_where_the_file_says_so(read: Write) -> None:
    text = BIAS.replace('"bias"', '"relay"\nwhen_safe = "shorted"')
    told: list[str] = []
    with read(text).open(lambda part, words, confirmed: told.append(words)):
        Noting.events.clear()
    assert Noting.events == ["bias shorted", "bias safe", "bias closed"]
    assert told == ["current 0 A, output shorted"]


@pytest.mark.parametrize("part", [BIAS, RF, ANALYZER])
def test_an_output_that_can_not_be_shorted_is_not_promised_to_be(read: Write, part: str) -> None:
    driver = part.partition('driver = "')[2].partition('"')[0]
    text = part.replace(f'"{driver}"', f'"{driver}"\nwhen_safe = "shorted"')
    with pytest.raises(BenchError, match=rf"^my.toml:4: parts.\w+.when_safe: '{driver}' can't short its output: leave"):
        read(text)
    read(text.replace('"shorted"', '"off"'))


def test_an_instrument_gets_the_limits_of_the_bench_as_its_own_when_it_is_opened(read: Write) -> None:
    with read(BIAS).open() as opened:
        assert Noting.events == ["bias made", "bias 2 V"]
        opened.parts["bias"].set_current(1e-3)


def test_an_instrument_that_keeps_another_limit_is_not_used_and_left_safe(
    read: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bias, "kept", 21.0)
    says = r"^bench 'my': bias: a compliance of 2 V was set and reads back as 21 V, limit 2 V \(my.toml:4\)$"
    with pytest.raises(LimitError, match=says), read(BIAS + RF).open():
        pytest.fail("the bench opened")
    assert Noting.events == ["bias made", "bias 2 V", "bias safe", "bias closed"]


def test_a_driver_that_can_not_be_constructed_says_so(read: Write) -> None:
    limits = 'limits = { max_current = "1 mA", max_compliance = "1 V" }'
    file = read(f'[parts.bias]\ndriver = "source"\n{limits}\n')
    with (
        pytest.raises(BenchError, match=r"my\.toml:2: parts\.bias: 'source' did not start: TypeError"),
        file.open(),
    ):
        pytest.fail("an abstract class was constructed")


def test_a_part_whose_limits_can_not_be_put_in_front_is_made_safe_too(
    read: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = read(CHIP)

    def no_guard(*_: object) -> Role:
        raise RuntimeError("no guard today")

    monkeypatch.setattr(bench.PartPlan, "guarded", no_guard)
    with pytest.raises(RuntimeError, match="no guard today") as caught, file.open():
        pytest.fail("the chip was used without its limits")
    unconfirmed = "UnsafeError: bench 'ours': chip: not confirmed safe: its limits are not in place"
    assert caught.value.__notes__ == [f"on leaving bench 'ours': {unconfirmed}"]
    assert Noting.events == ["chip made", "chip safe", "chip closed"]


# --- Parts made of others

RIG = """
[parts.rig]
driver = "rig"
made_of = { biases = ["one", "two"], rf = "rf" }
limits = { max_current = "6 mA", max_rf_power = "5 dBm" }
"""
BIASES = BIAS.replace("parts.bias", "parts.one") + BIAS.replace("parts.bias", "parts.two")


def test_a_rig_is_handed_its_parts_behind_their_limits_wherever_it_stands_in_the_file(read: Write) -> None:
    for text in (RIG + BIASES + RF, BIASES + RF + RIG):
        with read(text).open() as opened:
            rig = opened.parts["rig"]
            assert isinstance(rig, LimitedOscillatorChip)
            inner = rig._inner
            assert isinstance(inner, Rig)
            assert inner.made_of == [opened.parts[name] for name in ("one", "two", "rf")]
            with pytest.raises(LimitError, match="bench 'my': one: asked for 9 mA, limit 8 mA"):
                inner.made_of[0].set_current(9e-3)
            with pytest.raises(LimitError, match="bench 'my': rig: oscillator 1 asked for 7 mA, limit 6 mA"):
                rig.set_currents(np.full(2, 7e-3))
            Noting.events.clear()
        assert [name for name, _ in opened.safety_report] == ["rf", "rig", "one", "two"]
        assert [event for event in Noting.events if "closed" in event].count("bias closed") == 2


def test_a_rig_is_as_real_as_what_it_is_made_of(read: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"bias": "labneuro.simulators", "generator": "labneuro.simulators", "rig": "labneuro.drivers"}
    for generator, real in (("labneuro.simulators", False), ("labneuro.drivers", True)):
        groups["generator"] = generator
        offered = {name: EntryPoint(name, "lab:Driver", group) for name, group in groups.items()}
        monkeypatch.setattr(registry, "drivers", lambda offered=offered: offered)
        file = read(RIG + BIASES + RF)
        assert file.parts["rig"].real is real
        assert file.guarded is real


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('rf = "rf"', 'rff = "rf"', "4: parts.rig.made_of.rff: unknown key; did you mean rf?"),
        (', rf = "rf"', "", '4: parts.rig.made_of.rf: missing: name the part that is a RFSource, such as "part1"'),
        ('["one", "two"]', '"one"', "4: parts.rig.made_of.biases: 'one' is not allowed: name parts that are each a"),
        ('rf = "rf"', 'rf = ["rf"]', "4: parts.rig.made_of.rf: ['rf'] is not allowed: name the part that is a"),
        ('"two"]', "2]", "4: parts.rig.made_of.biases: ['one', 2] is not allowed: name parts"),
        ('"two"]', '"too"]', "4: parts.rig.made_of.biases: no part 'too'; did you mean two?"),
        ('"two"]', '"rf"]', "4: parts.rig.made_of.biases: rf is a RFSource: name a CurrentSource"),
        ('"two"]', '"one"]', "4: parts.rig.made_of.biases: one is named twice: name each part once"),
        ("made_of =", "# made_of =", "2: parts.rig.made_of.biases: missing: name parts that are each a CurrentSource"),
    ],
)  # fmt: skip
def test_what_a_rig_can_not_be_made_of_is_said_with_its_line(read: Write, old: str, new: str, says: str) -> None:
    assert RIG.count(old) == 1
    with pytest.raises(BenchError) as caught:
        read(RIG.replace(old, new) + BIASES + RF)
    assert str(caught.value).startswith(f"my.toml:{says}")


def test_a_driver_that_is_no_rig_is_made_of_nothing(read: Write) -> None:
    text = RF.replace('"generator"', '"generator"\nmade_of = { analyzer = "analyzer" }') + ANALYZER
    with pytest.raises(BenchError, match=r"^my.toml:4: parts.rf.made_of.analyzer: unknown key; none is known"):
        read(text)


def test_a_rig_whose_part_does_not_start_does_not_start_either(read: Write) -> None:
    Noting.fails["rf made"] = OSError("no answer")
    with pytest.raises(BenchError, match=r"parts\.rf: 'generator' did not start"), read(RIG + BIASES + RF).open():
        pytest.fail("the bench opened")
    assert "rig made" not in Noting.events
    assert Noting.events.count("bias safe") == 2


# --- A rack


class Shelf(Rack):
    """A rack of nothing, that notes what becomes of it."""

    visa_library = "shelf@labneuro"
    deaths: Sequence[str] = ()  # type: ignore[assignment]

    def snapshot(self) -> object:
        return {"deaths": list(self.deaths)}

    def restore(self, snapshot: object) -> None:
        raise NotImplementedError

    def serve(self, host: str, ports: Mapping[str, int]) -> AbstractContextManager[Mapping[str, Sequence[str]]]:
        raise NotImplementedError

    def close(self) -> None:
        Noting.events.append("rack closed")


class ShelfPlan(RackPlan):
    """A plan whose table has one key, `height`."""

    def __init__(self, shelf: Rack) -> None:
        self.shelf = shelf
        self.clocks: list[Clock] = []

    @classmethod
    def read(cls, content: Mapping[str, object], values: Values, refusal: Refusal) -> "ShelfPlan":
        def keys(*, height: Annotated[int, Ge(1)] = 1) -> None: ...

        if values(keys, content, ())["height"] > 9:
            raise refusal(("height",), "too high: climb less")
        return cls(Shelf())

    def warm_up(self) -> None:
        raise NotImplementedError

    def build(self, clock: Clock) -> Rack:
        self.clocks.append(clock)
        Noting.events.append("rack built")
        return self.shelf


RACKED = """\
clock = "virtual"
[parts.near]
driver = "wired"
limits = { max_current = "8 mA", max_compliance = "2 V" }
[parts.far]
driver = "wired"
settings = { visa_library = "@py" }
limits = { max_current = "8 mA", max_compliance = "2 V" }
[rack]
height = 2
"""


@pytest.fixture
def shelves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load_rack", lambda: ShelfPlan)
    offered = {"wired": EntryPoint("wired", "lab:Wired", "labneuro.drivers")}
    monkeypatch.setattr(registry, "drivers", lambda: offered)


@pytest.mark.usefixtures("shelves")
def test_drivers_find_the_rack_unless_they_are_told_of_another_library(read: Write) -> None:
    file = read(RACKED)
    near, far = file.parts["near"], file.parts["far"]
    assert [(plan.racked, plan.real) for plan in (near, far)] == [(True, False), (False, True)]
    with file.open() as opened:
        assert Noting.events[:2] == ["rack built", "bias made"]
        assert isinstance(file.rack, ShelfPlan)
        assert file.rack.clocks == [opened.clock]
        libraries = [part._inner.library for part in opened.parts.values()]  # type: ignore[attr-defined]
        assert libraries == ["shelf@labneuro", "@py"]
        assert opened.memories == {"[rack]": opened.rack}
        Noting.events.clear()
    assert Noting.events == ["bias safe", "bias safe", "bias closed", "bias closed", "rack closed"]


@pytest.mark.usefixtures("shelves")
def test_a_device_of_the_rack_that_was_destroyed_is_told_when_the_bench_is_left(
    read: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shelf, "deaths", ["chip: burnt", "chip: burnt too"])
    told: list[tuple[str, str, bool]] = []
    with (
        pytest.raises(ExceptionGroup, match=r"^on leaving bench 'my': .*rack: chip: burnt") as caught,
        read(RACKED).open(lambda *said: told.append(said)),
    ):
        pass
    says = [f"bench 'my': rack: {words}" for words in ("chip: burnt", "chip: burnt too")]
    assert [str(error) for error in caught.value.exceptions] == says
    assert {type(error) for error in caught.value.exceptions} == {UnsafeError}
    assert told[2:] == [("[rack]", "chip: burnt", False), ("[rack]", "chip: burnt too", False)]
    assert Noting.events[-1] == "rack closed"


@pytest.mark.usefixtures("shelves")
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("height", "hight", "10: rack.hight: unknown key; did you mean height?"),
        ("height = 2", "height = 0", "10: rack.height: 0 is not allowed: give an integer of at least 1"),
        ("height = 2", "height = 10", "10: rack.height: too high: climb less"),
    ],
)
def test_what_is_wrong_with_a_rack_is_said_with_its_line(read: Write, old: str, new: str, says: str) -> None:
    with pytest.raises(BenchError) as caught:
        read(RACKED.replace(old, new))
    assert str(caught.value) == f"my.toml:{says}"


def test_a_rack_that_nobody_can_build_says_so(read: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> type[RackPlan]:
        raise registry.RegistryError("no rack 'virtual' is installed; none is known")

    monkeypatch.setattr(registry, "load_rack", missing)
    with pytest.raises(BenchError, match=r"^my.toml:9: rack: no rack 'virtual' is installed"):
        read(RACKED)


# --- Which part serves which parameter


def two_generators(one: RFSource, other: RFSource) -> None: ...


def one_and_the_rest(one: RFSource, rest: Sequence[RFSource]) -> None: ...


def any_analyzer(spectrometer: SpectrumAnalyzer, chip: OscillatorChip) -> None: ...


def generator(name: str) -> str:
    return RF.replace("parts.rf", f"parts.{name}")


def test_a_protocol_gets_the_part_of_its_name_else_the_only_one_with_the_role(read: Write) -> None:
    assert read(CHIP + RF).parts_for(lesson) == {"chip": "chip"}
    assert read(CHIP.replace("parts.chip", "parts.device")).parts_for(lesson) == {"chip": "device"}
    assert read(CHIP + RF + ANALYZER).parts_for(any_analyzer) == {"spectrometer": "analyzer", "chip": "chip"}


def test_a_part_serves_one_parameter_only(read: Write) -> None:
    file = read(generator("x") + generator("other"))
    assert file.parts_for(two_generators) == {"one": "x", "other": "other"}


def test_a_sequence_of_a_role_is_served_by_all_parts_that_are_left_in_the_order_of_the_file(read: Write) -> None:
    file = read(generator("z") + generator("one") + ANALYZER + generator("a"))
    assert file.parts_for(one_and_the_rest) == {"one": "one", "rest": ("z", "a")}


@pytest.mark.parametrize(
    ("text", "function", "says"),
    [
        (
            generator("one"),
            one_and_the_rest,
            "bench 'my': one_and_the_rest needs a part 'rest' (RFSource); "
            "it has one (RFSource): add one as [parts.rest]",
        ),
        (
            RF + ANALYZER,
            lesson,
            "bench 'my': lesson needs a part 'chip' (OscillatorChip); it has rf (RFSource), "
            "analyzer (SpectrumAnalyzer): add one as [parts.chip]",
        ),
        (
            generator("x") + generator("y"),
            two_generators,
            "bench 'my': two_generators needs a part 'one' (RFSource); name one of x, y so [parts.one]",
        ),
        (
            generator("other"),
            two_generators,
            "bench 'my': two_generators needs a part 'one' (RFSource); it has other (RFSource): add one as [parts.one]",
        ),
        (
            generator("chip"),
            lesson,
            "bench 'my': lesson needs a part 'chip' (OscillatorChip); it has chip (RFSource): add one as [parts.chip]",
        ),
    ],
)
def test_a_bench_without_the_right_part_says_what_to_add(
    read: Write, text: str, function: Callable[..., Any], says: str
) -> None:
    with pytest.raises(BenchError) as caught:
        read(text).parts_for(function)
    assert str(caught.value) == says
