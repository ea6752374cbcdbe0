import math

import pytest

from labneuro.limits import (
    ENVELOPES,
    CurrentSourceLimits,
    LimitError,
    OscillatorLimits,
    PulseLimits,
    RFLimits,
    SourceMeterLimits,
    envelope,
)
from labneuro.parameters import ParameterError
from labneuro.roles import (
    CurrentSource,
    OscillatorChip,
    PulseGenerator,
    RFSource,
    Role,
    SourceMeter,
    SpectrumAnalyzer,
    SwitchMatrix,
    SynapseArray,
    Voltmeter,
)

# --- Limits themselves

REQUIRED = {
    OscillatorLimits: {"max_current": 8e-3, "max_rf_power": 1e-3},
    CurrentSourceLimits: {"max_current": 8e-3, "max_compliance": 2.0},
    SourceMeterLimits: {"max_voltage": 0.5, "max_current": 1e-3},
    RFLimits: {"max_power": 1e-3},
    PulseLimits: {"max_amplitude": 1.0, "max_width": 1e-3},
}
GIVEN = [
    (limits, name)
    for limits in REQUIRED
    for name in limits.__dataclass_fields__
    if name not in {"loss", "rf_loss", "resistance", "max_energy"}
]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -1.0])
@pytest.mark.parametrize(("limits", "name"), GIVEN)
def test_a_limit_that_would_let_everything_pass_is_refused(limits: type, name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=f"{name}: .* give a finite limit above 0"):
        limits(**{**REQUIRED[limits], name: value})


# A loss of 1000 dB would lift every limit, and one of -1000 dB could not be computed.
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1000.0, -1000.0])
@pytest.mark.parametrize(("limits", "name"), [(RFLimits, "loss"), (PulseLimits, "loss"), (OscillatorLimits, "rf_loss")])
def test_a_loss_that_no_line_has_is_refused(limits: type, name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=f"{name}: .* give a loss within ±100 dB"):
        limits(**REQUIRED[limits], **{name: value})


def test_a_band_has_its_lower_edge_below_its_upper() -> None:
    with pytest.raises(ParameterError, match="min_frequency: 400 MHz is not below max_frequency, 300 MHz"):
        RFLimits(max_power=1e-3, min_frequency=400e6, max_frequency=300e6)


@pytest.mark.parametrize("lonely", ["max_energy", "resistance"])
def test_an_energy_is_nothing_without_a_resistance(lonely: str) -> None:
    with pytest.raises(ParameterError, match="max_energy: goes with resistance"):
        PulseLimits(max_amplitude=1.0, max_width=1e-3, **{lonely: 1.0})


# --- Which envelope


def test_every_role_has_an_envelope() -> None:
    played = {role: envelope(role) for role in Role.__subclasses__() if role.__module__ == "labneuro.roles"}
    assert {role for role, found in played.items() if found.guard is None} == {
        SpectrumAnalyzer,
        SwitchMatrix,
        Voltmeter,
    }
    assert set(played) == {found.role for found in ENVELOPES}


def test_parts_are_made_safe_microwaves_first_and_direct_current_last() -> None:
    assert [found.role for found in ENVELOPES] == [
        RFSource,
        PulseGenerator,
        OscillatorChip,
        SynapseArray,
        CurrentSource,
        SourceMeter,
        SwitchMatrix,
        SpectrumAnalyzer,
        Voltmeter,
    ]


def test_a_driver_that_can_not_be_guarded_is_refused() -> None:
    class Laser(Role):
        pass

    class Both(RFSource, CurrentSource):
        pass

    with pytest.raises(LimitError, match=r"Laser can't be guarded: .* plays none"):
        envelope(Laser)
    with pytest.raises(LimitError, match=r"Both can't be guarded: .* plays RFSource and CurrentSource"):
        envelope(Both)
