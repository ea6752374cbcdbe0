import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labneuro.clock import VirtualClock
from labneuro.limits import LimitedRFSource, LimitError, Place, RFLimits, UnsafeError
from labneuro.roles import RFSource

MAX_POWER = 10**0.5 * 1e-3
BAND = (300e6, 400e6)
MARGIN = 1e-9  # beyond rounding, and finer than any source resolves


class RecordingGenerator(RFSource):
    """A generator that notes what it is asked, and adds `extra`, relatively, to its own limit."""

    def __init__(self, extra: float = 0.0) -> None:
        self.extra = extra
        self.asked: list[tuple[float, float]] = []
        self.limit = 1.0
        self.level = 0.0

    @property
    def identity(self) -> str:
        return "recording generator"

    @property
    def power_limit(self) -> float:
        return self.limit * (1 + self.extra)

    def set_power_limit(self, power: float) -> None:
        self.limit = power

    @property
    def frequency(self) -> float:
        return 0.0

    @property
    def power(self) -> float:
        return self.level

    def set_tone(self, frequency: float, power: float) -> None:
        self.asked.append((frequency, power))

    def make_safe(self) -> None:
        self.asked.append((0.0, 0.0))


def generator_behind(extra: float = 0.0, **more: float) -> tuple[LimitedRFSource, RecordingGenerator]:
    inner = RecordingGenerator(extra)
    limits = RFLimits(**{"max_power": MAX_POWER, "min_frequency": BAND[0], "max_frequency": BAND[1], **more})
    return LimitedRFSource(inner, limits, Place("b", "rf", {"max_power": "b.toml:7"}), VirtualClock()), inner


# --- Tones


@given(st.floats(*BAND), st.floats(0, MAX_POWER))
def test_a_safe_tone_arrives_unchanged(frequency: float, power: float) -> None:
    generator, inner = generator_behind()
    generator.set_tone(frequency, power)
    assert inner.asked == [(frequency, power)]


@given(
    st.floats(*BAND),
    st.floats(1e-6, 1.0),
    st.floats(-40, 40),
    st.one_of(st.floats(), st.floats(0, 2)),
)
def test_the_limit_of_power_holds_at_the_device(frequency: float, limit: float, loss: float, wanted: float) -> None:
    generator, inner = generator_behind(max_power=limit, loss=loss)
    weakening = math.exp(loss / 10 * math.log(10))
    power = wanted * limit * weakening if 0 <= wanted <= 2 else wanted
    with suppress(LimitError):
        generator.set_tone(frequency, power)
    if inner.asked:
        assert 0 <= power / weakening <= limit * (1 + MARGIN)
    else:
        assert not 0 <= power / weakening <= limit * (1 - MARGIN)


unsafe_frequency = st.one_of(
    st.floats(min_value=BAND[1] * (1 + MARGIN)),
    st.floats(max_value=BAND[0] * (1 - MARGIN)),
    st.just(math.nan),
)


@given(unsafe_frequency, st.floats(1e-12, MAX_POWER))
def test_no_unsafe_frequency_ever_reaches_a_generator(frequency: float, power: float) -> None:
    generator, inner = generator_behind()
    with pytest.raises(LimitError, match="bench 'b': rf: asked for"):
        generator.set_tone(frequency, power)
    assert inner.asked == []


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (0.0, "asked for 10 dBm, limit 5 dBm (b.toml:7)"),
        (3.0, "asked for 10 dBm, 7 dBm at the device, limit 5 dBm (b.toml:7)"),
        (-20.0, "asked for 10 dBm, 30 dBm at the device, limit 5 dBm (b.toml:7)"),
    ],
)
def test_a_refusal_tells_what_would_reach_the_device(loss: float, says: str) -> None:
    generator, _ = generator_behind(loss=loss)
    with pytest.raises(LimitError) as caught:
        generator.set_tone(350e6, 10e-3)
    assert str(caught.value) == f"bench 'b': rf: {says}"


# --- The generator's own protection


@pytest.mark.parametrize(("loss", "most"), [(0.0, 5.0), (3.0, 8.0), (-20.0, -15.0)])
def test_the_generator_itself_is_given_the_limit_at_its_output(loss: float, most: float) -> None:
    generator, inner = generator_behind(loss=loss)
    generator.protect()
    assert inner.limit == pytest.approx(10 ** (most / 10) * 1e-3, rel=1e-12)


# 0.01 dB, to which an instrument may keep its limit, is 0.23 %; infinity says that it has none.
@pytest.mark.parametrize("extra", [-0.5, 0.0, 0.0023, math.inf])
def test_a_generator_may_round_its_own_limit_or_have_none(extra: float) -> None:
    generator, _ = generator_behind(extra)
    generator.protect()


@pytest.mark.parametrize(("extra", "says"), [(0.026, "5.111 dBm"), (99.0, "25 dBm"), (math.nan, "nan W")])
def test_a_generator_that_keeps_a_higher_limit_is_refused(extra: float, says: str) -> None:
    generator, _ = generator_behind(extra)
    with pytest.raises(LimitError) as caught:
        generator.protect()
    assert str(caught.value) == (
        f"bench 'b': rf: its own limit was set to 5 dBm and reads back {says}: set it by hand (b.toml:7)"
    )


@given(st.one_of(st.floats(), st.floats(0, 2e-1)))
def test_a_protocol_can_only_lower_the_generators_own_limit(power: float) -> None:
    generator, inner = generator_behind(loss=10.0)
    with suppress(LimitError):
        generator.set_power_limit(power)
    if 0 <= power <= MAX_POWER * 10 * (1 - MARGIN):
        assert inner.limit == power
    elif not power <= MAX_POWER * 10 * (1 + MARGIN):
        assert inner.limit == 1.0


# --- Making safe


def test_a_generator_that_is_off_is_confirmed() -> None:
    generator, _ = generator_behind()
    assert generator.confirm() == "power 0 W"


@pytest.mark.parametrize("level", [1e-15, 1e-3, math.nan])
def test_a_generator_that_does_not_read_back_as_off_is_not_called_safe(level: float) -> None:
    generator, inner = generator_behind()
    inner.level = level
    with pytest.raises(UnsafeError, match=r"bench 'b': rf: not confirmed safe: power .*: switch it off by hand"):
        generator.confirm()
