"""The emulated chip: what it emits, what locks to what (checks V1 and V4), and that asking again is repeatable."""

import itertools
from collections import Counter

import numpy as np
import pytest

from labneuro.calibration import Calibration, sweep
from labneuro.clock import VirtualClock
from labneuro.lines import find_lines
from labneuro.signals import Tones, state_name
from labneuro.simulators.oscillator_chip import EmulatedOscillatorChip

GOAL = np.array([332e6, 344e6, 356e6, 368e6])


def chip_on_grid(seed: int = 0, **settings: object) -> EmulatedOscillatorChip:
    """A chip whose oscillators run at the grid of frequencies, as a person would tune it: from a calibration."""
    chip = EmulatedOscillatorChip(VirtualClock(), seed=seed, **settings)
    calibration = Calibration.fit(list(sweep(chip, np.linspace(4.6e-3, 8e-3, 9))))
    chip.set_currents(calibration.current(GOAL))
    return chip


def test_the_analyzer_shows_the_devices_that_were_fabricated():
    chip = EmulatedOscillatorChip(VirtualClock(), averages=1000, coupling=0.0)
    chip.set_currents(np.full(4, 6e-3))
    lines = find_lines(chip.spectrum(), 4)
    devices = chip.devices
    assert lines.frequency == pytest.approx(devices.frequency, abs=20e3)
    assert lines.linewidth == pytest.approx(devices.linewidth, rel=0.15)
    assert lines.power == pytest.approx(devices.power, rel=0.06)


def test_all_the_power_is_in_the_spectrum():
    chip = EmulatedOscillatorChip(VirtualClock(), averages=1000)
    chip.set_currents(np.full(4, 6e-3))
    spectrum = chip.spectrum()
    total = spectrum.density.sum() * (spectrum.frequency[1] - spectrum.frequency[0])
    assert total == pytest.approx(chip.devices.power.sum(), rel=0.03)


def test_without_current_only_the_analyzers_noise_is_left():
    chip = EmulatedOscillatorChip(VirtualClock(), averages=1000, noise_floor=1e-16)
    spectrum = chip.spectrum()
    assert spectrum.density.mean() == pytest.approx(1e-16, rel=0.01)
    assert np.std(spectrum.density) / 1e-16 == pytest.approx(1 / np.sqrt(1000), rel=0.2)
    assert len(find_lines(spectrum, 4)) == 0


def test_a_narrower_filter_raises_a_source_line_and_leaves_the_floor():
    tone = Tones.at([[390e6, 350e6]], [1e-3, 0.0])
    levels = []
    for rbw in (100e3, 400e3):
        chip = EmulatedOscillatorChip(VirtualClock(), span=90e6, rbw=rbw, averages=400)
        chip.apply(tone)
        spectrum = chip.spectrum()
        line = np.abs(spectrum.frequency - 390e6) < 2 * rbw
        levels.append(spectrum.density[line].max())
        power = spectrum.density[line].sum() * (spectrum.frequency[1] - spectrum.frequency[0])
        assert power == pytest.approx(1e-3 * 1e-4, rel=0.05)
        assert np.median(spectrum.density) == pytest.approx(1e-16, rel=0.02)
    assert levels[0] / levels[1] == pytest.approx(4, rel=0.15)


def test_frequency_follows_current_as_the_device_says():
    chip = EmulatedOscillatorChip(VirtualClock(), seed=3)
    calibration = Calibration.fit(list(sweep(chip, np.linspace(5e-3, 7e-3, 7))))
    assert calibration.slope(np.full(4, 6e-3)) == pytest.approx(chip.devices.slope, rel=0.03)


def test_the_line_grows_and_narrows_through_the_threshold():
    chip = EmulatedOscillatorChip(VirtualClock(), seed=1, averages=400)
    for i, threshold in enumerate(chip.devices.threshold):
        lines = []
        for factor in (0.8, 1.25):
            currents = np.zeros(4)
            currents[i] = factor * threshold
            chip.set_currents(currents)
            lines.append(find_lines(chip.spectrum(), 1))
        below, above = lines
        assert above.power[0] > 10 * below.power[0]
        # Below threshold the amplitude decays at Gamma_G (1 - zeta): a thermal line as wide as twice that rate.
        assert below.linewidth[0] == pytest.approx(0.2 * chip.devices.damping[i] / np.pi, rel=0.4)
        assert above.linewidth[0] < 0.6 * below.linewidth[0]


def test_v1_the_map_of_two_sources_has_the_21_states_and_regions_as_wide_as_the_locking_range():
    chip = chip_on_grid()
    axis = np.arange(322e6, 378e6, 0.5e6)
    states = chip.synchronisation(Tones.grid([axis, axis], 1e-3))
    share = {name: count / len(states) for name, count in Counter(state_name(s) for s in states).items()}
    pairs = {f"{i}A,{j}B" if i < j else f"{j}B,{i}A" for i in range(1, 5) for j in range(1, 5) if i != j}
    expected = {"none"} | {f"{i}{s}" for i in range(1, 5) for s in "AB"} | pairs
    assert len(expected) == 21
    assert all(share.get(name, 0) > 0.01 for name in expected)
    assert all(share[name] < 0.003 for name in share.keys() - expected)
    # The width of each region along A, with B out of the way.
    alone = chip.synchronisation(Tones.grid([np.arange(322e6, 378e6, 0.1e6), [400e6]], [1e-3, 0.0]))
    widths = 0.1e6 * np.sum(alone == 1, axis=0)
    assert np.all((widths > 9.5e6) & (widths < 13e6))
    assert widths == pytest.approx(chip.devices.locking_width, rel=0.1)


def test_v4_spectra_tell_the_same_as_phases_away_from_edges():
    agree = []
    for seed in (0, 1, 2):
        chip = chip_on_grid(seed, averages=20, detection="spectra")
        tones = np.random.default_rng(1).uniform(324e6, 376e6, (400, 2))
        truth = chip.locked_phases(Tones.at(tones, 1e-3))
        inside = np.ones(len(tones), np.bool_)
        for dx in (-0.5e6, 0.0, 0.5e6):
            for dy in (-0.5e6, 0.0, 0.5e6):
                near = chip.locked_phases(Tones.at(tones + np.array([dx, dy]), 1e-3))
                inside &= np.all(near == truth, axis=1)
        assert inside.sum() > 180
        seen = chip.synchronisation(Tones.at(tones, 1e-3))
        agree.append(np.mean(np.all(seen == truth, axis=1)[inside]))
    assert np.mean(agree) >= 0.97, agree


def test_the_same_questions_get_the_same_answers_however_they_are_batched():
    tones = Tones.at(np.random.default_rng(0).uniform(325e6, 375e6, (90, 2)), 1e-3)

    def answers(cuts: list[int]) -> tuple[np.ndarray, np.ndarray]:
        chip = EmulatedOscillatorChip(VirtualClock(), averages=3)
        chip.set_currents(np.full(4, 6e-3))
        parts = [tones[a:b] for a, b in itertools.pairwise(cuts)]
        states = np.concatenate([chip.synchronisation(part) for part in parts])
        return states, np.concatenate([chip.spectra(part).density for part in parts])

    whole, cut = answers([0, 90]), answers([0, 1, 40, 90])
    assert np.array_equal(whole[0], cut[0])
    assert np.array_equal(whole[1], cut[1])


def test_asking_again_is_another_measurement():
    chip = EmulatedOscillatorChip(VirtualClock())
    chip.set_currents(np.full(4, 6e-3))
    assert not np.array_equal(chip.spectrum().density, chip.spectrum().density)


def test_batch_verbs_leave_the_sources_off():
    chip = EmulatedOscillatorChip(VirtualClock())
    chip.set_currents(np.full(4, 6e-3))
    tone = Tones.at([[338e6, 362e6]], 1e-3)
    for ask in (chip.spectra, chip.synchronisation):
        chip.apply(tone)
        ask(tone)
        assert len(find_lines(chip.spectrum())) == 4


def test_safe_means_no_current_and_no_source():
    chip = EmulatedOscillatorChip(VirtualClock())
    chip.set_currents(np.full(4, 6e-3))
    chip.apply(Tones.at([[338e6, 362e6]], 1e-3))
    chip.make_safe()
    assert np.all(chip.currents == 0)
    assert len(find_lines(chip.spectrum())) == 0


@pytest.mark.parametrize("count", [1, 7])
def test_any_number_of_oscillators(count):
    chip = EmulatedOscillatorChip(VirtualClock(), oscillators=count, span=100e6, spread=0.0)
    chip.set_currents(np.full(count, 6e-3))
    assert find_lines(chip.spectrum(), count).frequency == pytest.approx(chip.devices.frequency, abs=0.15e6)
    on = chip.devices.frequency[count // 2]
    states = chip.synchronisation(Tones.at([[on, 399e6]], [1e-3, 0.0]))
    assert states.tolist() == [[int(i == count // 2) for i in range(count)]]


def test_a_span_wider_than_what_is_emulated_is_refused():
    with pytest.raises(ValueError, match="narrow it"):
        EmulatedOscillatorChip(VirtualClock(), span=1e9)
