"""The safe envelope in front of a chip or an instrument: checked before anything is sent, never clipped.

A guard plays the same role as the part behind it. A request beyond a limit, not finite or of the wrong shape raises
LimitError, and the part behind never hears of it. Limits hold at the device, losses on the way taken in. A set point
is approached from the level read back, in steps no bigger than the ramp allows in one tick of the bench's clock.
"""

from dataclasses import dataclass
from typing import Any

from labneuro.limits.currents import READ_ERROR, TICK, CurrentSourceLimits, LimitedCurrentSource, ramp_points
from labneuro.limits.guard import ROUNDING, Guard, LimitError, Place, UnsafeError
from labneuro.limits.oscillators import LimitedOscillatorChip, OscillatorLimits
from labneuro.limits.pulses import LimitedPulseGenerator, PulseLimits
from labneuro.limits.synapses import LimitedSynapseArray, SynapseLimits
from labneuro.limits.tones import LimitedRFSource, RFLimits
from labneuro.limits.voltages import LimitedSourceMeter, SourceMeterLimits
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

__all__ = [
    "ENVELOPES",
    "READ_ERROR",
    "ROUNDING",
    "TICK",
    "CurrentSourceLimits",
    "Envelope",
    "Guard",
    "LimitError",
    "LimitedCurrentSource",
    "LimitedOscillatorChip",
    "LimitedPulseGenerator",
    "LimitedRFSource",
    "LimitedSourceMeter",
    "LimitedSynapseArray",
    "OscillatorLimits",
    "Place",
    "PulseLimits",
    "RFLimits",
    "SourceMeterLimits",
    "SynapseLimits",
    "UnsafeError",
    "envelope",
    "ramp_points",
]


@dataclass(frozen=True)
class Envelope:
    """How a role is guarded; no limits and no guard for a role that can do no harm."""

    role: type[Role]
    limits: type[Any] | None
    guard: type[Guard[Any, Any]] | None


ENVELOPES = (
    Envelope(RFSource, RFLimits, LimitedRFSource),
    Envelope(PulseGenerator, PulseLimits, LimitedPulseGenerator),
    Envelope(OscillatorChip, OscillatorLimits, LimitedOscillatorChip),
    Envelope(SynapseArray, SynapseLimits, LimitedSynapseArray),
    Envelope(CurrentSource, CurrentSourceLimits, LimitedCurrentSource),
    Envelope(SourceMeter, SourceMeterLimits, LimitedSourceMeter),
    Envelope(SwitchMatrix, None, None),
    Envelope(SpectrumAnalyzer, None, None),
    Envelope(Voltmeter, None, None),
)
"""By role, in the order in which a bench makes its parts safe unless its file says otherwise."""


def envelope(driver: type[Role]) -> Envelope:
    """Return the envelope of the role a driver plays. Raises LimitError unless it plays just one of them."""
    found = [e for e in ENVELOPES if issubclass(driver, e.role)]
    if len(found) != 1:
        played = " and ".join(e.role.__name__ for e in found) or "none"
        known = ", ".join(e.role.__name__ for e in ENVELOPES)
        raise LimitError(f"{driver.__name__} can't be guarded: it must play one of {known}, and plays {played}")
    return found[0]
