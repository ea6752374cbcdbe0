"""Time of one oscillator-step of four coupled noisy oscillators, beside three peers on the same equations.

All integrate dc_i/dt = [a - b |c_i|^2 + i (w_i + n |c_i|^2)] c_i + k sum_{j != i} c_j + f_i(t) over the same batch by
Heun's method with Gaussian noise: NumPy vectorised over the batch, a JAX scan (vmapped by its arrays), and diffrax with
its own Brownian path. JAX and diffrax run in single precision, their default and their fastest; NumPy and labneuro in
double. The last row says which part of one core's double-precision peak, measured in the same run, the kernel's
arithmetic is; the time that the noise takes is in it, its own single-precision arithmetic is not.

Needs `pip install 'labneuro[bench]'` for the last two; without it they are left out.
"""

import importlib.util
import math

import numba
import numpy as np
from harness.report import Measure, best_of, report

from labneuro.simulators.oscillators import Oscillators, integrate

POINTS, STEPS, STEP = 2048, 1000, 2e-9
MHZ = 2 * math.pi * 1e6
GROWTH, SATURATION, SHIFT, NOISE = 0.5 * MHZ, 2.5 * MHZ, 7.5 * MHZ, 1.2e4
DETUNING = 2 * math.pi * np.array([-18e6, -6e6, 6e6, 18e6]) - SHIFT * GROWTH / SATURATION
COUPLING = 2 * math.pi * 50e3
FLOPS = 49
"""Double-precision operations of one oscillator-step, noise not counted: 27 for the first slope and the half-way point,
19 for the second slope and the step, 3 for a quarter of the coupling."""


def ours(threads: int) -> float:
    """Return ns per oscillator-step on so many threads."""
    same = np.ones(4)
    chip = Oscillators(GROWTH * same, SATURATION * same, DETUNING, SHIFT * same, NOISE * same, same, COUPLING)
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        seconds = best_of(
            lambda: integrate(chip, points=POINTS, step=STEP, settle=4, observe=STEPS // 5 - 4, every=5), repeats=15
        )
    finally:
        numba.set_num_threads(before)
    return 1e9 * seconds / (POINTS * STEPS * 4)


def numpy_loop() -> float:
    """Return ns per oscillator-step of a NumPy loop over time, vectorised over the batch."""
    rng = np.random.default_rng(0)
    steps, scale = 20, math.sqrt(NOISE * STEP)
    rotation = DETUNING[:, None]

    def slope(c):
        p = c.real**2 + c.imag**2
        return (GROWTH - SATURATION * p + 1j * (rotation + SHIFT * p)) * c + COUPLING * (c.sum(axis=0) - c)

    def run():
        c = np.full((4, POINTS), 0.4 + 0j)
        for _ in range(steps):
            noise = scale * (rng.standard_normal(c.shape) + 1j * rng.standard_normal(c.shape))
            k = slope(c)
            c = c + noise + 0.5 * STEP * (k + slope(c + noise + STEP * k))
        return c

    return 1e9 * best_of(run, repeats=5) / (POINTS * steps * 4)


def jax_scan() -> float:
    """Return ns per oscillator-step of a JAX scan over time, jitted."""
    import jax
    import jax.numpy as jnp

    scale = math.sqrt(NOISE * STEP)
    rotation = jnp.asarray(DETUNING, jnp.float32)[:, None]

    def slope(c):
        p = c.real**2 + c.imag**2
        return (GROWTH - SATURATION * p + 1j * (rotation + SHIFT * p)) * c + COUPLING * (c.sum(axis=0) - c)

    @jax.jit
    def run(key):
        def advance(c, key):
            normal = jax.random.normal(key, (2, *c.shape), jnp.float32)
            noise = scale * (normal[0] + 1j * normal[1])
            k = slope(c)
            return c + noise + 0.5 * STEP * (k + slope(c + noise + STEP * k)), None

        return jax.lax.scan(advance, jnp.full((4, POINTS), 0.4, jnp.complex64), jax.random.split(key, 100))[0]

    return 1e9 * best_of(lambda: run(jax.random.key(0)).block_until_ready(), repeats=5) / (POINTS * 100 * 4)


def diffrax_heun() -> float:
    """Return ns per oscillator-step of diffrax's Heun, with its fastest Brownian path and no adjoint."""
    import diffrax
    import jax
    import jax.numpy as jnp

    steps, scale = 100, math.sqrt(NOISE)
    rotation = jnp.asarray(DETUNING, jnp.float32)

    def drift(_t, y, _args):
        x, v = y
        p = x**2 + v**2
        growth, turn = GROWTH - SATURATION * p, rotation + SHIFT * p
        return (
            growth * x - turn * v + COUPLING * (x.sum() - x),
            growth * v + turn * x + COUPLING * (v.sum() - v),
        )

    def diffusion(_t, _y, _args):
        import lineax

        return lineax.DiagonalLinearOperator((jnp.full(4, scale), jnp.full(4, scale)))

    shape = (jax.ShapeDtypeStruct((4,), jnp.float32),) * 2

    def one(key):
        path = diffrax.UnsafeBrownianPath(shape, key)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, path))
        start = (jnp.full(4, 0.4), jnp.zeros(4))
        solution = diffrax.diffeqsolve(
            terms,
            diffrax.Heun(),
            0.0,
            steps * STEP,
            STEP,
            start,
            saveat=diffrax.SaveAt(t1=True),
            adjoint=diffrax.DirectAdjoint(),
            max_steps=steps + 1,
        )
        return solution.ys

    run = jax.jit(jax.vmap(one))
    keys = jax.random.split(jax.random.key(0), POINTS)
    return 1e9 * best_of(lambda: jax.block_until_ready(run(keys)), repeats=5) / (POINTS * steps * 4)


@numba.njit(fastmath={"contract"})
def _multiply_add(values, a, b, repeats):
    for _ in range(repeats):
        for k in range(values.size):
            v = values[k]
            v = v * a + b
            v = v * a + b
            v = v * a + b
            v = v * a + b
            v = v * a + b
            v = v * a + b
            v = v * a + b
            v = v * a + b
            values[k] = v


def peak() -> float:
    """Return the double-precision rate of one core that does little but multiply-adds in the first cache, flop/s."""
    values, repeats = np.ones(512), 200
    return 512 * 16 * repeats / best_of(lambda: _multiply_add(values, 0.999, 0.001, repeats), repeats=200)


def main() -> None:
    """Measure and report."""
    cores = numba.config.NUMBA_NUM_THREADS
    one, all_cores = ours(1), ours(cores)
    measures = {"oscillator-step, 1 core": Measure(one, numpy_loop(), "NumPy Heun loop", "ns")}
    # XLA spreads a batch over all cores, so both are held against all of ours.
    for module, name, peer in (("jax", "JAX scan", jax_scan), ("diffrax", "diffrax Heun", diffrax_heun)):
        if importlib.util.find_spec(module):
            measures[f"oscillator-step, {cores} cores, vs {name}"] = Measure(all_cores, peer(), name, "ns")
    measures[f"oscillator-step, {cores} cores vs 1"] = Measure(all_cores, one, "labneuro, 1 core", "ns")
    measures["arithmetic of the kernel, 1 core"] = Measure(
        FLOPS / one, peak() / 1e9, "peak, multiply-adds", "Gflop/s", higher_is_better=True
    )
    report("Four coupled noisy oscillators", measures)


if __name__ == "__main__":
    main()
