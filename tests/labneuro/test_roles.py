from typing import Any

import pytest

from labneuro.roles import (
    CurrentSource,
    OscillatorChip,
    PulseGenerator,
    RFSource,
    Role,
    SourceMeter,
    SpectrumAnalyzer,
    SynapseArray,
    action,
    reading,
    setting,
    verbs,
)

ROLES = [role for role in Role.__subclasses__() if role.__module__ == "labneuro.roles"]


def kinds(role: type[Role], kind: str) -> list[str]:
    return [verb.name for verb in verbs(role).values() if verb.kind == kind]


def test_settings_are_put_back_in_an_order_that_is_safe_at_every_moment() -> None:
    assert kinds(CurrentSource, "setting") == ["make_safe", "set_compliance", "set_current", "short_output"]
    assert kinds(SourceMeter, "setting") == ["make_safe", "set_current_limit", "set_voltage"]
    assert kinds(RFSource, "setting") == ["make_safe", "set_power_limit", "set_tone"]
    assert kinds(PulseGenerator, "setting") == ["make_safe", "set_amplitude_limit"]
    assert kinds(OscillatorChip, "setting") == ["make_safe", "set_currents", "apply"]


def test_only_pulses_and_time_change_a_device_for_good() -> None:
    actions = {role: kinds(role, "action") for role in ROLES if kinds(role, "action")}
    assert actions == {PulseGenerator: ["fire"], SynapseArray: ["wait", "pulse", "update"]}


def test_all_that_a_role_can_be_asked_is_listed_in_the_order_of_declaration() -> None:
    assert list(verbs(SpectrumAnalyzer)) == ["identity", "make_safe", "configure", "trace"]
    assert list(verbs(OscillatorChip))[-4:] == ["spectrum", "spectra", "synchronisation", "check"]
    for role in ROLES:
        assert list(verbs(role))[:2] == ["identity", "make_safe"]
        assert not {"close", "snapshot", "restore"} & set(verbs(role))


def test_what_a_question_leaves_off_is_known() -> None:
    chip = verbs(OscillatorChip)
    assert chip["spectra"].clears == chip["synchronisation"].clears == ("apply",)
    assert chip["spectrum"].clears == ()
    assert verbs(CurrentSource)["set_current"].clears == ("short_output",)


def test_being_safe_ends_what_is_put_out_and_keeps_how_it_is_done() -> None:
    assert verbs(OscillatorChip)["make_safe"].clears == ("set_currents", "apply")
    assert verbs(CurrentSource)["make_safe"].clears == ("set_current",)
    assert verbs(SourceMeter)["make_safe"].clears == ("set_voltage",)
    assert verbs(RFSource)["make_safe"].clears == ("set_tone",)
    assert verbs(SpectrumAnalyzer)["make_safe"].clears == ()


def test_a_question_has_the_signature_that_a_protocol_calls_and_a_property_has_none() -> None:
    found = verbs(SpectrumAnalyzer)
    assert found["identity"].signature is None
    assert list(found["configure"].signature.parameters) == ["start", "stop", "rbw", "averages"]
    assert found["trace"].signature.parameters == {}


def test_what_a_driver_says_of_a_verb_of_its_role_changes_nothing() -> None:
    class Driver(PulseGenerator):
        @setting
        def fire(self, pulses: Any, twice: bool = False) -> None: ...

        def calibrate(self) -> None: ...

    assert verbs(Driver)["fire"] == verbs(PulseGenerator)["fire"]
    assert verbs(Driver)["calibrate"].kind == "reading"


def test_a_laboratory_marks_the_verbs_of_its_own_role() -> None:
    class Oven(Role):
        level = 3

        @setting(kept=True)
        def set_ramp(self, speed: float) -> None: ...

        @setting
        def heat(self, power: float) -> None: ...

        @reading(clears=("heat",))
        def anneal(self) -> None: ...

        @action
        def melt(self) -> None: ...

        def _look(self) -> None: ...

    found = verbs(Oven)
    assert {name: verb.kind for name, verb in found.items()} == {
        "identity": "reading",
        "make_safe": "setting",
        "set_ramp": "setting",
        "heat": "setting",
        "anneal": "reading",
        "melt": "action",
    }
    assert (found["make_safe"].clears, found["anneal"].clears) == (("heat",), ("heat",))


def test_a_part_made_of_atoms_has_no_memory_to_put_back() -> None:
    class Real(SpectrumAnalyzer):
        identity = "maker,model,1,0"

        def make_safe(self) -> None: ...
        def configure(self, start: float, stop: float, *, rbw: float, averages: int) -> None: ...
        def trace(self) -> Any: ...

    assert Real().snapshot() is None
    with pytest.raises(NotImplementedError, match="Real can't be put back"):
        Real().restore({})
