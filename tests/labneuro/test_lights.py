"""The light of a part says what the journal knows, and no more."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labneuro import bench, registry
from labneuro.entries import Answered, Asked, Begun, Entry, Identified, Left, Noted, Raised, Resumed
from labneuro.following import Following
from labneuro.journal import Journal
from labneuro.lights import Light, lights
from labneuro.run import execute
from labneuro.signals import Tones

BENCH = """
[parts.chip]
driver = "oscillator-rig"
made_of = { currents = ["bias1"], tones = ["rf_a"], analyzer = "analyzer" }
limits = { max_current = "8 mA", max_rf_power = "5 dBm", rf_loss = "1 dB", ramp = "0.1 mA/ms" }
[parts.bias1]
driver = "yokogawa-gs200"
limits = { max_current = "8 mA", max_compliance = "1 V" }
[parts.rf_a]
driver = "keysight-e8257d"
[parts.analyzer]
driver = "keysight-x-series"
[parts.meter]
driver = "keithley-2182a"
"""
HEAD = {
    "protocol": "scan", "doc": "", "parameters": {}, "units": {}, "bench": BENCH, "bench_name": "desk",
    "provenance": {}, "start_time": "", "parts": {"chip": "chip"},
}  # fmt: skip
CURRENTS = Asked(1, "chip", "set_currents", {"currents": np.full(2, 5e-3)}, False)
DEATH = 60.0  # s after the last entry

Lit = Callable[..., dict[str, Light]]


@pytest.fixture
def lit(tmp_path: Path) -> Lit:
    """A function that returns the lights of a run with certain entries, by part."""

    def make(*entries: Entry, dead: bool = False, after: float = 0.0, text: str = BENCH) -> dict[str, Light]:
        with Journal(tmp_path / "a.journal") as journal:
            journal.write(Begun({**HEAD, "bench": text}), Identified({"chip": "a chip", "bias1": "a source"}))
            for entry in entries:
                journal.write(entry)
            if not dead:
                followed = Following(tmp_path / "a.h5")
                followed.look(10.0)
        if dead:
            followed = Following(tmp_path / "a.h5")
            followed.look(10.0)
        return {light.part: light for light in lights(followed.now, followed.now.standing.time + after)}

    return make


def test_a_part_that_answers_is_green_with_its_settings_and_limits(lit: Lit) -> None:
    tones = Asked(2, "chip", "apply", {"tones": Tones.at([330e6, 360e6], 1e-3)}, False)
    light = lit(CURRENTS, Answered(1, None), tones, Answered(2, None))["chip"]
    assert (light.identity, light.driver, light.colour) == ("a chip", "oscillator-rig", "green")
    assert light.settings == (("set_currents", "5 mA, 5 mA"), ("apply", "330 MHz at 0 dBm, 360 MHz at 0 dBm"))
    assert light.limits[0] == ("max_current", "8 mA")
    assert light.words.startswith("apply answered at ")


def test_a_setting_that_another_verb_ends_is_not_shown(lit: Lit) -> None:
    apply = Asked(2, "chip", "apply", {"tones": Tones.at([330e6, 360e6], 1e-3)}, False)
    spectra = Asked(3, "chip", "spectra", {"tones": Tones.at([[3e8, 3e8]], 0.0)}, False)
    light = lit(CURRENTS, Answered(1, None), apply, Answered(2, None), spectra, Answered(3, None))["chip"]
    assert [verb for verb, _ in light.settings] == ["set_currents"]


def test_what_was_never_asked_is_grey_and_what_a_rig_asks_is_like_the_rig(lit: Lit) -> None:
    found = lit(CURRENTS, Answered(1, None))
    assert (found["meter"].colour, found["meter"].words) == ("grey", "not asked yet")
    assert found["bias1"].colour == found["rf_a"].colour == "green"
    assert found["bias1"].words.startswith("asked by chip: set_currents answered")
    assert found["bias1"].identity == "a source"


@pytest.mark.parametrize(("after", "colour"), [(0.5, "green"), (3.0, "yellow")])
def test_a_part_that_takes_long_to_answer_is_yellow(lit: Lit, after: float, colour: str) -> None:
    light = lit(CURRENTS, after=after)["chip"]
    assert light.colour == colour
    assert (light.words == "waiting for set_currents for 3 s") is (colour == "yellow")
    assert light.settings == (("set_currents", "5 mA, 5 mA"),)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"currents": np.array([-7.8e-3, 1e-3])}, "7.8 mA is near to max_current, 8 mA"),
        ({"currents": np.array([-7.5e-3, 1e-3])}, ""),
    ],
)
def test_a_level_near_to_its_limit_is_yellow(lit: Lit, asked: dict[str, object], words: str) -> None:
    light = lit(Asked(1, "chip", "set_currents", asked, False), Answered(1, None))["chip"]
    assert light.colour == ("yellow" if words else "green")
    assert light.words == words or not words


@pytest.mark.parametrize(("power", "colour"), [(5.9, "yellow"), (5.1, "green")])
def test_a_power_is_compared_at_the_device(lit: Lit, power: float, colour: str) -> None:
    tones = Tones.at([330e6, 360e6], 1e-3 * 10 ** (power / 10))  # 1 dB is lost on the way
    assert lit(Asked(1, "chip", "apply", {"tones": tones}, False), Answered(1, None))["chip"].colour == colour


def test_an_error_is_red_until_the_part_answers_again(lit: Lit, tmp_path: Path) -> None:
    raised = Raised(1, "TimeoutError", "no answer")
    light = lit(CURRENTS, raised)["chip"]
    assert (light.colour, light.words) == ("red", "set_currents: TimeoutError: no answer")
    assert light.settings  # it may have come about
    (tmp_path / "a.journal").unlink()
    assert not lit(CURRENTS, Raised(1, "labneuro.LimitError", "too much"))["chip"].settings
    (tmp_path / "a.journal").unlink()
    assert lit(CURRENTS, raised, CURRENTS, Answered(1, None))["chip"].colour == "green"


def test_parts_that_were_left_safe_are_grey_and_others_red(lit: Lit) -> None:
    left = Left("chip", "currents 0 A", True), Left("bias1", "no answer", False), Left("[rack]", "it burnt", False)
    found = lit(CURRENTS, Answered(1, None), *left)
    assert (found["chip"].colour, found["chip"].words) == ("grey", "left safe: currents 0 A")
    assert found["chip"].settings == ()
    assert (found["bias1"].colour, found["bias1"].words) == ("red", "NOT made safe: no answer")
    assert found["[rack]"].colour == "red"


def test_outputs_that_may_outlive_their_process_are_red(lit: Lit, tmp_path: Path) -> None:
    found = lit(CURRENTS, dead=True)
    assert (found["chip"].colour, found["meter"].colour) == ("red", "grey")
    assert "may still be on" in found["chip"].words
    (tmp_path / "a.journal").unlink()
    assert lit(CURRENTS, Answered(1, None), dead=True, text=f"{BENCH}\n[rack]\n")["chip"].colour == "grey"


def test_what_is_paused_or_put_back_is_yellow(lit: Lit, tmp_path: Path) -> None:
    paused = Noted("paused", "all outputs stay as they are")
    light = lit(CURRENTS, Answered(1, None), paused)["chip"]
    assert (light.colour, light.words) == ("yellow", "paused: its outputs stay as they are")
    (tmp_path / "a.journal").unlink()
    back = Noted("put back", "chip.set_currents(currents=array([0.005, 0.005]))")
    light = lit(CURRENTS, Answered(1, None), Resumed(HEAD), back)["chip"]
    assert (light.colour, light.words) == ("yellow", f"put back: {back.words}")


def test_a_bench_that_cannot_be_read_leaves_the_lights_of_its_parts(lit: Lit) -> None:
    found = lit(CURRENTS, Answered(1, None), text="[parts")
    assert [light.part for light in found.values()] == ["chip", "bias1"]
    assert found["chip"].colour == "green"


def test_the_lights_of_a_run_at_each_step_and_at_its_end(annex: Path) -> None:
    Path("levels.txt").write_text("0.0\n")
    Path("desk.toml").write_text(
        'guardian = false\n[parts.source]\ndriver = "lasting"\nsettings = { levels = "levels.txt" }\n'
        'limits = { max_current = "3 mA", max_compliance = "2 V" }\n'
    )
    execute(registry.load_protocol("ramp"), bench.load("desk.toml"), {"steps": 3}, Path("a.h5"), progress=False)
    followed = Following(Path("a.h5"))
    while followed.look():
        pass
    for step, colour in ((1, "green"), (2, "green"), (3, "yellow")):
        past = followed.at(step)
        (light,) = lights(past, past.standing.time)
        assert (light.colour, light.driver) == (colour, "lasting")
        assert light.settings == (("set_current", f"{step} mA"),)
        assert light.limits == (("max_current", "3 mA"), ("max_compliance", "2 V"))
    (light,) = lights(followed.now, 0.0)
    assert (light.colour, light.words) == ("grey", "left safe: current 0 A")
    assert light.identity == "annex,lasting,1,0"
