"""The benches that ship with labneuro, with the drivers that they name."""

import pytest

from labneuro.bench import load, shipped
from labneuro.limits import OscillatorLimits


@pytest.mark.parametrize("name", ["emulated", "emulated-analyzer"])
def test_shipped_benches_are_found_by_name_and_hold_the_safe_envelope(name: str) -> None:
    file = load(name)
    assert file.name == name
    assert file.clock == "virtual"
    seed, detection = (file.parts["chip"].settings[key] for key in ("seed", "detection"))
    assert (seed, detection) == (0, "spectra" if name == "emulated-analyzer" else "phases")
    limits = file.parts["chip"].limits
    assert isinstance(limits, OscillatorLimits)
    assert limits.max_current == pytest.approx(8e-3, rel=1e-14)
    assert limits.ramp == pytest.approx(0.1, rel=1e-14)
    assert limits.max_rf_power == pytest.approx(10**0.5 * 1e-3, rel=1e-14)
    assert (limits.min_frequency, limits.max_frequency) == (300e6, 400e6)


def test_all_shipped_benches_are_named_after_their_files() -> None:
    assert set(shipped()) >= {"emulated", "emulated-analyzer"}
    assert all(load(name).name == name for name in shipped())


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_bench_opens_and_is_left_safe(name: str) -> None:
    with load(name).open() as bench:
        chip = bench.parts["chip"]
        assert chip.identity
    assert bench.safety_report == [("chip", "safe")]
