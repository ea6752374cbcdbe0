"""Line resistance: Kirchhoff's law, the badcrossbar reference case, IR drop, the iteration beside the exact solve."""

import math

import numba
import numpy as np
import pytest

from labneuro.simulators import line_resistance
from labneuro.simulators.line_resistance import Lines, Network, currents, effective_conductances, iterate

RNG = np.random.default_rng(7)
VOLTAGES = np.array([[1.5, 4.1, 2.6, 2.1], [2.3, 4.5, 1.1, 0.8], [1.7, 4.0, 3.3, 1.1]]).T
RESISTANCES = np.array([[345, 903, 755, 257, 646], [652, 401, 508, 166, 454], [442, 874, 190, 244, 635]])


def test_the_reference_case_of_badcrossbar():
    solution = Network(1 / RESISTANCES, Lines(0.5, 0.5)).solve(VOLTAGES)
    assert solution.devices[2, 0, 3] == pytest.approx(0.0098562, abs=5e-8)  # all digits given
    expected = [0.01649934, 0.00925389, 0.02247116, 0.02938042, 0.01136674]
    np.testing.assert_allclose(solution.columns[2], expected, rtol=1e-6)
    np.testing.assert_allclose(currents(VOLTAGES, 1 / RESISTANCES, Lines(0.5, 0.5))[2], expected, rtol=1e-6)


def test_without_line_resistance_the_reference_case_is_the_ideal_product():
    solved = Network(1 / RESISTANCES, Lines(0, 0)).solve(VOLTAGES).columns
    np.testing.assert_allclose(solved[2], [0.01668941, 0.00939818, 0.02297748, 0.03026783, 0.01164453], rtol=1e-6)
    np.testing.assert_allclose(solved, VOLTAGES @ (1 / RESISTANCES), rtol=1e-13)


@pytest.mark.parametrize(
    ("size", "device", "segment", "worst", "mean"),
    [
        (16, 10e3, 2.5, 0.946, 0.955),
        (32, 10e3, 2.5, 0.818, 0.850),
        (64, 10e3, 2.5, 0.529, 0.600),
        (128, 10e3, 2.5, 0.210, 0.290),
        (64, 100e3, 2.5, 0.920, 0.935),
        (128, 100e3, 2.5, 0.742, 0.787),
        (64, 10e3, 1.0, 0.740, 0.785),
    ],
)
def test_the_lines_leave_so_much_of_the_ideal_current(size, device, segment, worst, mean):
    array = np.full((size, size), 1 / device)
    lines = Lines(segment, segment)
    left = currents(np.ones(size), array, lines)[0] * device / size
    assert (left.min(), left.mean()) == pytest.approx((worst, mean), abs=6e-4)  # three digits are given
    if size <= 32:
        exact = Network(array, lines).solve(np.ones(size)).columns[0] * device / size
        np.testing.assert_allclose(exact, left, rtol=1e-6)


def test_currents_into_every_node_add_up_to_nothing():
    array, lines = 10 ** RNG.uniform(-6, -3, (5, 7)), Lines(3.0, 0.7)
    rows, columns = RNG.normal(size=(2, 5)), RNG.normal(size=(2, 7))
    solution = Network(array, lines).solve(rows, columns)
    along = np.diff(np.concatenate([rows[:, :, None], solution.row_nodes], axis=2), axis=2) / lines.row
    down = np.diff(np.concatenate([solution.column_nodes, columns[:, None, :]], axis=1), axis=1) / lines.column
    through = array * (solution.row_nodes - solution.column_nodes)
    np.testing.assert_allclose(np.diff(along, axis=2, append=0.0), through, atol=1e-13)
    np.testing.assert_allclose(np.diff(down, axis=1, prepend=0.0), -through, atol=1e-13)
    np.testing.assert_allclose(-along[:, :, 0], solution.rows, atol=1e-13)
    np.testing.assert_allclose(-down[:, -1], solution.columns, atol=1e-13)


def test_no_current_leaves_a_floating_line_and_its_potential_settles_between_the_others():
    array = 10 ** RNG.uniform(-6, -3, (4, 5))
    network = Network(array, Lines(2.0, 2.0), floating_rows=[0, 1, 0, 0], floating_columns=[0, 0, 1, 0, 0])
    solution = network.solve(np.full(4, 0.3))
    assert solution.rows[0, 1] == pytest.approx(0, abs=1e-17)
    assert solution.columns[0, 2] == pytest.approx(0, abs=1e-17)
    assert solution.devices[0].any()
    assert (np.abs(solution.row_nodes[0, 1] - 0.15) < 0.15).all()


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("lines", [(2.5, 2.5), (0, 3.0), (3.0, 0), (0, 0), (40.0, 0.1), (250.0, 250.0)])
def test_the_iteration_is_as_near_the_exact_solve_as_it_promises(lines, tolerance):
    for shape in ((33, 20), (1, 6), (6, 1)):
        array, volts = 10 ** RNG.uniform(-6, -4, shape), RNG.uniform(-0.2, 0.2, (3, shape[0]))
        size = np.sqrt(array.sum(axis=0) * (volts**2 @ array).mean(axis=1, keepdims=True))
        x, y = (1e-4 * r * (2 * n / math.pi) ** 2 for r, n in zip(lines, reversed(shape), strict=True))
        k = math.sqrt(1 - x / (1 + x) * y / (1 + y))
        exact = Network(array, Lines(*lines)).solve(volts).columns
        error = np.abs(currents(volts, array, Lines(*lines), tolerance=tolerance) - exact)
        assert (error <= size * (tolerance / k + 1e-13)).all()


@pytest.mark.parametrize(("size", "segment"), [(64, 2.5), (64, 25.0), (40, 1.0)])
def test_the_error_falls_at_the_rate_that_theory_allows(size, segment):
    array, volts = np.full((size, size), 1e-4), RNG.uniform(0, 0.2, (4, size))
    exact = Network(array, Lines(segment, segment)).solve(volts).columns
    errors = [
        np.abs(iterate(volts, array, segment, segment, 1e-14, most)[0] - exact).max() / exact.max() for most in range(9)
    ]
    x = 1e-4 * segment * (2 * size / math.pi) ** 2
    k = math.sqrt(1 - (x / (1 + x)) ** 2)
    bound = 2 * errors[0] / k * ((1 - k) / (1 + k)) ** np.arange(9)
    assert (np.array(errors) <= bound + 1e-13).all()
    assert errors[8] < 1e-8


def test_an_input_has_the_same_result_alone_in_any_batch_and_on_any_number_of_threads():
    array, volts, lines = RNG.uniform(1e-6, 1e-4, (20, 30)), RNG.uniform(-0.2, 0.2, (17, 20)), Lines(5.0, 5.0)
    together = currents(volts, array, lines)
    np.testing.assert_array_equal(np.vstack([currents(v, array, lines) for v in volts]), together)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(currents(volts, array, lines), together)
    finally:
        numba.set_num_threads(before)


def test_effective_conductances_answer_any_input():
    array, volts, lines = RNG.uniform(1e-6, 1e-4, (20, 30)), RNG.uniform(-0.2, 0.2, (9, 20)), Lines(5.0, 5.0)
    effective = effective_conductances(array, lines)
    exact = Network(array, lines)
    np.testing.assert_allclose(volts @ effective, exact.solve(volts).columns, rtol=1e-9)
    back = RNG.uniform(-0.2, 0.2, (9, 30))
    np.testing.assert_allclose(back @ effective.T, -exact.solve(np.zeros((9, 20)), back).rows, rtol=1e-9)


def test_an_iteration_that_does_not_get_there_says_so(monkeypatch):
    monkeypatch.setattr(line_resistance, "_MOST", 2)
    with pytest.raises(ArithmeticError, match="input 1 not solved to 1e-12 in 2 steps: use Network"):
        currents([np.zeros(20), np.ones(20)], np.full((20, 20), 1e-3), Lines(10.0, 10.0), tolerance=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Lines(-1.0, 1.0), "row segments of -1 ohm: give a finite resistance"),
        (lambda: Lines(1.0, math.nan), "column segments of nan ohm"),
        (lambda: Network(np.ones(3), Lines(1, 1)), r"conductances of shape \(3,\): give \(rows, columns\)"),
        (lambda: Network([[1.0, 0.0]], Lines(1, 1)), r"device \[0, 1\] of 0 S: give a conductance above 0"),
        (lambda: currents([1.0], [[1.0, math.nan]], Lines(1, 1)), r"device \[0, 1\] of nan S"),
        (lambda: currents([1.0, 2.0], [[1.0, 1.0]], Lines(1, 1)), r"shape \(2,\) do not fit 1 rows: give \(batch, 1\)"),
        (lambda: currents([[1.0], [math.inf]], [[1.0]], Lines(1, 1)), r"voltages\[1, 0\] of the rows is inf V"),
        (lambda: currents([1.0], [[1.0]], Lines(1, 1), tolerance=0), "tolerance 0: give a number"),
        (
            lambda: Network([[1.0]], Lines(1, 1), floating_rows=[True, False]),
            r"mask of shape \(2,\) does not fit 1 rows",
        ),
        (lambda: Network([[1.0]], Lines(1, 1), floating_rows=[1], floating_columns=[1]), "every row and column floats"),
        (lambda: Network([[1.0]], Lines(1, 1)).solve([[1.0]] * 3, [[0.0]] * 2), "3 vectors for rows, 2 for columns"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
