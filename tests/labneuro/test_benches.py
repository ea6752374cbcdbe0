"""The benches that ship with labneuro, with the drivers that they name."""

from pathlib import Path

import pytest

from labneuro.bench import load, parse, shipped
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
    assert set(shipped()) >= {"emulated", "emulated-analyzer", "rack"}
    assert all(load(name).name == name for name in shipped())


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_bench_opens_and_is_left_safe(name: str) -> None:
    file = load(name)
    with file.open() as bench:
        assert all(part.identity for part in bench.parts.values())
    assert bench.safety_report == [(part, "safe") for part in file.safe_order]


def test_the_bench_of_the_rack_is_left_tones_first_and_its_chip_before_its_sources() -> None:
    file = load("rack")
    assert list(file.safe_order) == ["rf_a", "rf_b", "chip", "bias1", "bias2", "bias3", "bias4", "analyzer"]
    assert not file.guarded  # what it drives goes with the process
    assert all(plan.racked for plan in file.parts.values())


def test_without_its_rack_it_is_the_bench_of_a_real_probe_station() -> None:
    text = load("rack").text.partition("# What the rack holds")[0]
    file = parse(text, Path("station.toml"))
    assert file.guarded
    assert all(plan.real and not plan.racked for plan in file.parts.values())
