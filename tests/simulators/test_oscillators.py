"""The Slavin-Tiberkevich kernel against closed forms: checks S1 to S5 of the model, and bit-identity."""

import itertools
import math

import numba
import numpy as np
import pytest

from labneuro.simulators import slavin_tiberkevich as theory
from labneuro.simulators.oscillators import Emission, Oscillators, integrate

MHZ = 2 * math.pi * 1e6
DAMPING, Q, ZETA, P0 = 1 * MHZ, 1.0, 1.5, 0.2
RELAXATION = DAMPING * (ZETA - 1)


def like(count: int = 1, *, nu: float = 4.0, offset=0.0, noise: float = 0.0, coupling: complex = 0.0) -> Oscillators:
    """Oscillators with the parameters of the checks, free-running at `offset`, Hz, (count,) or (count, points)."""
    shift = nu * DAMPING * (ZETA + Q)
    frequency = np.asarray(offset, np.float64) * 2 * math.pi * np.ones((count, 1))
    same = np.ones((count, 1))
    return Oscillators(
        growth=RELAXATION * same,
        saturation=DAMPING * (ZETA + Q) * same,
        detuning=frequency - shift * P0,
        shift=shift * same,
        diffusion=noise * same,
        response=same,
        coupling=coupling,
    )


@pytest.mark.parametrize("offset", [0.0, 5e6, -26e6])
@pytest.mark.parametrize("nu", [0.0, 4.0])
def test_s1_free_oscillation_has_the_power_and_frequency_of_the_model(offset, nu):
    time = 4000 * 3 * 2e-9
    motion = integrate(like(nu=nu, offset=offset), step=2e-9, settle=2000, observe=4000, every=3)
    assert abs(motion.amplitude[0, 0]) ** 2 == pytest.approx(P0, rel=1e-6)
    assert motion.advance[0, 0] / (2 * math.pi * time) == pytest.approx(offset, rel=1e-6, abs=1e-3)


def test_below_threshold_the_oscillation_dies():
    oscillator = like()
    damped = Oscillators(
        growth=-0.1 * oscillator.saturation,
        saturation=oscillator.saturation,
        detuning=oscillator.detuning,
        shift=oscillator.shift,
        diffusion=oscillator.diffusion,
        response=oscillator.response,
    )
    motion = integrate(damped, start=np.full((1, 1), 0.3 + 0j), step=2e-9, settle=1, observe=2000, every=1)
    expected = math.exp(-0.1 * DAMPING * (ZETA + Q) * 2001 * 2e-9)
    assert abs(motion.amplitude[0, 0]) < 0.3 * expected


def test_s2_a_deviation_of_power_decays_at_twice_the_relaxation_rate():
    start = np.full((1, 1), math.sqrt(P0 * 1.01) + 0j)
    looks = (60, 120)
    excess = [
        abs(integrate(like(), start=start, step=2e-9, settle=1, observe=n - 1, every=1).amplitude[0, 0]) ** 2 - P0
        for n in looks
    ]
    rate = math.log(excess[0] / excess[1]) / ((looks[1] - looks[0]) * 2e-9)
    assert rate == pytest.approx(2 * RELAXATION, rel=0.03)


def test_s3_weak_drive_locks_within_the_adler_range():
    force = 0.02 * DAMPING * math.sqrt(P0)
    half_width = float(theory.adler_half_width(force, P0, 4.0)) / (2 * math.pi)
    assert half_width == pytest.approx(82.5e3, rel=1e-3)
    detuning = np.linspace(-1.3 * half_width, 1.3 * half_width, 261)
    looks, step, every = 50_000, 2e-9, 2
    motion = integrate(
        like(),
        points=detuning.size,
        drive=force,
        detuning=2 * math.pi * detuning[:, None],
        step=step,
        settle=looks,
        observe=looks,
        every=every,
    )
    beat = motion.advance[0] / (2 * math.pi * looks * every * step) - detuning
    locked = detuning[np.abs(beat) < 200]  # Hz; the observation lasts 0.2 ms
    assert np.ptp(locked) / 2 == pytest.approx(half_width, rel=0.05)


def test_s3_beyond_the_range_it_beats_as_adler_says():
    force = 0.02 * DAMPING * math.sqrt(P0)
    half_width = float(theory.adler_half_width(force, P0, 4.0)) / (2 * math.pi)
    looks, step, every = 200_000, 2e-9, 2
    motion = integrate(
        like(),
        points=2,
        drive=force,
        detuning=2 * math.pi * 1.5 * half_width * np.array([[-1.0], [1.0]]),
        step=step,
        settle=1000,
        observe=looks,
        every=every,
    )
    beat = motion.advance[0] / (2 * math.pi * looks * every * step) - 1.5 * half_width * np.array([-1, 1])
    assert np.abs(beat) == pytest.approx(math.sqrt(1.25) * half_width, rel=0.05)


@pytest.mark.parametrize("width", [1e6, 6e6, 11e6])
@pytest.mark.parametrize("offset", [0.0, 18e6])
def test_strong_drive_locks_over_the_range_that_theory_gives(width, offset):
    force = theory.force_for_locking_width(2 * math.pi * width, P0, 3.0, RELAXATION)
    lower, upper = (w / (2 * math.pi) for w in theory.locking_range(force, P0, 3.0, RELAXATION))
    detuning = np.linspace(1.25 * lower, 1.25 * upper, 401)
    looks, step, every = 4000, 2e-9, 2
    motion = integrate(
        like(nu=3.0, offset=offset),
        points=detuning.size,
        drive=force,
        detuning=2 * math.pi * (offset + detuning[:, None]),
        step=step,
        settle=looks,
        observe=looks,
        every=every,
    )
    beat = np.abs(motion.advance[0] / (2 * math.pi * looks * every * step) - offset - detuning)
    locked = detuning[beat < 0.2e6]
    # The mean phase already follows where a limit cycle about the drive is left: a little beyond the stable range.
    assert np.ptp(locked) >= 0.97 * width
    assert np.ptp(locked) <= 1.12 * width


@pytest.mark.parametrize("nu", [0.0, 2.0, 4.0])
def test_s4_the_linewidth_is_that_of_phase_noise_with_nonlinear_gain(nu):
    wanted = 50e3
    noise = float(theory.noise_for_linewidth(wanted, P0, nu))
    looks, step, every, lanes = 10_000, 2e-9, 4, 64
    motion = integrate(
        like(nu=nu, noise=noise),
        points=lanes,
        step=step,
        settle=1000,
        observe=looks,
        every=every,
        emission=Emission(np.ones(1), 0.0, 0.0),
    )
    signal = motion.signal
    lags = np.array([250, 500])  # 2 and 4 µs: long after the power has relaxed, within the coherence time of 6.4 µs
    coherence = [abs(np.mean(signal[lag:] * np.conj(signal[:-lag]))) for lag in lags]
    linewidth = math.log(coherence[0] / coherence[1]) / (np.diff(lags)[0] * every * step) / math.pi
    assert linewidth == pytest.approx(wanted, rel=0.2)


@pytest.mark.parametrize("nu", [0.0, 2.0, 4.0])
@pytest.mark.parametrize("beta", ["0", "pi/4", "pi/2", "best"])
def test_s5_two_oscillators_lock_over_the_kuramoto_sakaguchi_range(nu, beta):
    phase = {"0": 0.0, "pi/4": math.pi / 4, "pi/2": math.pi / 2, "best": -math.atan(nu)}[beta]
    coupling = 2 * math.pi * 20e3 * complex(math.cos(phase), math.sin(phase))
    expected = float(theory.mutual_half_range(abs(coupling), nu, phase)) / (2 * math.pi)
    resolution = max(0.004 * expected, 100.0)
    apart = max(expected, 1e3) + np.arange(-16, 17) * resolution
    apart = np.abs(apart)
    looks, step, every = 100_000, 4e-9, 4
    motion = integrate(
        like(2, nu=nu, offset=np.array([[-0.5], [0.5]]) * apart, coupling=coupling),
        points=apart.size,
        step=step,
        settle=looks,
        observe=looks,
        every=every,
    )
    beat = np.abs(motion.advance[1] - motion.advance[0]) / (2 * math.pi * looks * every * step)
    locked = apart[beat < 300]  # Hz; the observation lasts 1.6 ms
    measured = locked.max(initial=0.0)
    if expected < 1:
        assert measured < 1e3  # a quarter turn without nonlinearity: no range at all
    else:
        assert measured == pytest.approx(expected, rel=0.02)


def coupled_points(points: int, first: int = 0) -> tuple[np.ndarray, ...]:
    """Answers of four noisy oscillators under two sources at `points` operating points, from number `first` on."""
    tones = np.random.default_rng(5).uniform(-20e6, 20e6, (200, 2))[first : first + points]
    motion = integrate(
        like(4, nu=3.0, offset=np.array([[-18e6], [-6e6], [6e6], [18e6]]), noise=2e4, coupling=3e5),
        points=points,
        drive=2e6,
        detuning=2 * math.pi * tones,
        seed=9,
        first_lane=first,
        step=2e-9,
        settle=50,
        observe=60,
        every=3,
        emission=Emission(np.ones(4), 0.1, 1e-9),
    )
    return motion.amplitude, motion.advance, motion.power, motion.signal


def test_answers_do_not_depend_on_how_points_are_batched():
    whole = coupled_points(200)
    for cuts in ((0, 1, 200), (0, 37, 64, 199, 200)):
        parts = [coupled_points(b - a, a) for a, b in itertools.pairwise(cuts)]
        for k, values in enumerate(whole):
            assert np.array_equal(np.concatenate([part[k] for part in parts], axis=-1), values)


def test_answers_do_not_depend_on_the_number_of_threads():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("this machine has one thread")
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = coupled_points(200)
        numba.set_num_threads(2)
        two = coupled_points(200)
    finally:
        numba.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_step_too_long_is_refused():
    with pytest.raises(ValueError, match="take a shorter step"):
        integrate(like(offset=60e6), step=2e-9, settle=1, observe=1)


def test_halving_the_step_quarters_the_error_of_a_driven_oscillator():
    """Heun's method is of second order: where it is not made exact, under a drive, its error shows it."""

    def response(step: float) -> complex:
        looks = round(0.48e-6 / step)
        motion = integrate(
            like(nu=2.0),
            drive=0.5 * DAMPING * math.sqrt(P0),
            detuning=[2 * math.pi * 3e6],
            start=np.full((1, 1), math.sqrt(P0) + 0j),
            step=step,
            settle=1,
            observe=looks - 1,
            every=1,
        )
        return complex(motion.amplitude[0, 0])

    exact = response(0.25e-9)
    coarse, fine = abs(response(8e-9) - exact), abs(response(4e-9) - exact)
    assert 3.4 < coarse / fine < 4.8
