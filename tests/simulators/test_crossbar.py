"""Crossbars: products, the schemes' table, sneak paths, weights as conductances, converters and read noise."""

import math

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from labneuro.signals import exposures
from labneuro.simulators.crossbar import (
    beside_reference,
    converted_product,
    device_voltages,
    differential_pairs,
    half_selected,
    line_voltages,
    multiply,
    multiply_transposed,
    quantised,
    read_noise,
    selections,
    sneak_resistance,
    weights_of,
)
from labneuro.simulators.line_resistance import Lines, Network

RNG = np.random.default_rng(3)
ARRAY = RNG.uniform(1e-6, 1e-4, (6, 9))
SCHEMES = ("V/2", "V/3", "grounded", "1T1R")


def one(row, column, shape=(6, 9)):
    which = np.zeros(shape, bool)
    which[row, column] = True
    return which


def test_ideal_products_are_sums_of_ohms_law():
    rows, columns = RNG.normal(size=(4, 6)), RNG.normal(size=(4, 9))
    np.testing.assert_allclose(multiply(rows, ARRAY), np.einsum("bi,ij->bj", rows, ARRAY), rtol=1e-12)
    np.testing.assert_allclose(multiply_transposed(columns, ARRAY), np.einsum("bj,ij->bi", columns, ARRAY), rtol=1e-12)


@pytest.mark.parametrize("lines", [Lines(30.0, 7.0), Lines(0.0, 7.0)])
def test_products_through_lines_are_those_of_the_nodal_solve_both_ways(lines):
    rows, columns = RNG.normal(size=(4, 6)), RNG.normal(size=(4, 9))
    network = Network(ARRAY, lines)
    forward, back = network.solve(rows).columns, -network.solve(np.zeros((4, 6)), columns).rows
    np.testing.assert_allclose(multiply(rows, ARRAY, lines, tolerance=1e-12), forward, rtol=1e-9)
    np.testing.assert_allclose(multiply_transposed(columns, ARRAY, lines, tolerance=1e-12), back, rtol=1e-9)


@pytest.mark.parametrize("product", [multiply, multiply_transposed])
def test_ideal_products_do_not_depend_on_the_threads_of_the_blas(product):
    array = RNG.uniform(1e-6, 1e-4, (512, 512))
    volts = RNG.normal(size=(64, 512))
    with threadpool_limits(1):
        alone = product(volts, array)
    np.testing.assert_array_equal(product(volts, array), alone)


def test_products_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match=r"shape \(9,\) do not fit 6 rows"):
        multiply(np.ones(9), ARRAY)
    with pytest.raises(ValueError, match=r"shape \(6,\) do not fit 9 columns"):
        multiply_transposed(np.ones(6), ARRAY)
    with pytest.raises(ValueError, match=r"device \[0, 0\] of -1e-06 S: give a conductance above 0"):
        multiply(np.ones(1), [[-1e-6]])


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (3, 7), (16, 16), (40, 5)])
def test_a_floating_array_has_the_sneak_path_of_the_formula(rows, columns):
    cell, others = 3e3, 50e3
    array = np.full((rows, columns), 1 / others)
    array[1, 0] = 1 / cell
    floating = np.ones(rows + columns, bool)
    floating[[1, rows]] = False
    network = Network(array, Lines(0, 0), floating_rows=floating[:rows], floating_columns=floating[rows:])
    current = network.solve(np.ones(rows)).columns[0, 0]
    assert current == pytest.approx(1 / cell + 1 / sneak_resistance(others, rows, columns), rel=1e-9)


@pytest.mark.parametrize(
    ("scheme", "on_row", "on_column", "elsewhere", "count"),
    [
        ("V/2", 1.0, 1.0, 0.0, 6 + 9 - 2),
        ("V/3", 2 / 3, 2 / 3, -2 / 3, 6 * 9 - 1),
        ("grounded", 2.0, 0.0, 0.0, 8),
        ("1T1R", 0.0, 0.0, 0.0, 0),
    ],
)
def test_a_scheme_puts_these_voltages_across_the_devices(scheme, on_row, on_column, elsewhere, count):
    across = device_voltages(one(2, 4), 2.0, scheme)
    expected = np.full((6, 9), elsewhere)
    expected[2], expected[:, 4], expected[2, 4] = on_row, on_column, 2.0
    np.testing.assert_allclose(across, expected, atol=1e-15)
    assert half_selected(one(2, 4), scheme) == count


@pytest.mark.parametrize("scheme", SCHEMES)
def test_devices_selected_one_by_one_see_what_the_limits_count(scheme):
    which = RNG.random((6, 9)) < 0.3
    seen = np.array([device_voltages(one(*place), 1.0, scheme) for place in np.argwhere(which)])
    counted = {}
    for part, counts in exposures(which.astype(np.int64), scheme):
        counted[part] = counted.get(part, 0) + counts
    for part, counts in counted.items():
        np.testing.assert_array_equal(np.isclose(seen, part).sum(axis=0), counts)
    assert sum(counts.sum() for counts in counted.values()) == np.count_nonzero(seen)


@pytest.mark.parametrize("along", ["rows", "columns"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_line_after_line_every_device_is_selected_once(along, scheme):
    which = RNG.random((6, 9)) < 0.4
    which[3], which[:, 5] = False, False
    parts = list(selections(which, along))
    assert len(parts) == which.any(axis=1 if along == "rows" else 0).sum()
    np.testing.assert_array_equal(np.sum(parts, axis=0), which)
    for part in parts:
        np.testing.assert_array_equal(device_voltages(part, 1.5, scheme)[part], 1.5)


def test_line_resistance_takes_its_part_of_what_a_scheme_selects():
    which = one(0, 8)
    rows, columns = line_voltages(which, 2.0, "V/2")
    ideal = Network(ARRAY, Lines(0, 0)).solve(rows, columns)
    np.testing.assert_allclose(ideal.devices[0] / ARRAY, device_voltages(which, 2.0, "V/2"), atol=1e-13)
    real = Network(ARRAY, Lines(50.0, 50.0)).solve(rows, columns)
    assert 1.5 < real.devices[0, 0, 8] / ARRAY[0, 8] < 1.99


def test_devices_that_no_lines_select_together_are_refused():
    with pytest.raises(ValueError, match="2 devices that are not all crossings of some lines: take `selections`"):
        line_voltages(one(0, 0) | one(1, 1), 1.0, "V/2")


def test_weights_come_back_from_pairs_and_from_beside_a_reference_column():
    weights, scale = RNG.uniform(-1, 1, (6, 9)), 40e-6
    plus, minus = differential_pairs(weights, scale, 1e-6, 41e-6)
    np.testing.assert_allclose(weights_of(plus, minus, scale), weights, atol=1e-12)
    assert np.minimum(plus, minus).max() == pytest.approx(1e-6)
    reference = RNG.uniform(45e-6, 55e-6, (6, 1))
    beside = beside_reference(weights, scale, reference, 1e-6, 100e-6)
    np.testing.assert_allclose(weights_of(beside, reference, scale), weights, atol=1e-12)


def test_a_weight_out_of_the_devices_range_is_named():
    with pytest.raises(ValueError, match=r"weight \[0, 1\] needs 4.1e-05 S, devices have 1e-06 to 4e-05 S"):
        differential_pairs([[0.0, -1.0]], 40e-6, 1e-6, 40e-6)
    with pytest.raises(ValueError, match=r"weight \[1, 0\] needs nan S"):
        beside_reference([[0.0], [math.nan]], 40e-6, 20e-6, 1e-6, 40e-6)


@pytest.mark.parametrize(("bits", "bound", "levels"), [(7, 1.0, 127), (9, 20.0, 511), (2, 1.0, 3)])
def test_a_converter_has_the_levels_of_aihwkit(bits, bound, levels):
    values = quantised(np.linspace(-1.2 * bound, 1.2 * bound, 40001), bits, bound)
    steps = np.unique(values)
    assert (steps.size, steps[0], steps[-1]) == (levels, pytest.approx(-bound), pytest.approx(bound))
    assert 0 in steps
    np.testing.assert_allclose(np.diff(steps), 2 * bound / (2**bits - 2))


def test_without_bits_a_converter_only_clips():
    np.testing.assert_array_equal(quantised([-3.0, 0.123, 3.0], 0, 1.0), [-1.0, 0.123, 1.0])
    with pytest.raises(ValueError, match="converter of 1 bits"):
        quantised([0.0], 1, 1.0)


def test_a_product_through_converters_is_right_to_their_steps_and_is_taken_again_where_the_adc_saturates():
    asked = []

    def product(volts):
        asked.append(len(volts))
        return volts @ ARRAY

    vectors = np.vstack([RNG.uniform(-1e3, 1e3, 6), np.full(6, 7.0), np.zeros(6)])
    strongest = 0.2 * ARRAY.sum(axis=0).max()
    bound = 0.6 * strongest
    out = converted_product(product, vectors, voltage=0.2, bound=bound, dac_bits=12, adc_bits=12)
    assert asked[0] == 3
    assert asked[1] < 3
    assert asked[-1] == 1
    scale = np.abs(vectors).max(axis=1, keepdims=True) / 0.2
    steps = scale * (0.2 / (2**12 - 2) * ARRAY.sum(axis=0) + 2 * bound / (2**12 - 2))
    assert (np.abs(out - vectors @ ARRAY) <= 2 * steps).all()
    assert not out[2].any()


def test_an_adc_that_saturates_at_any_voltage_clips():
    out = converted_product(lambda volts: np.full((len(volts), 1), 5.0), [[1.0]], voltage=1.0, bound=2.0)
    assert out == pytest.approx(2.0 * 2**10)


def test_read_noise_adds_up_over_the_devices_of_a_column_and_is_addressed_by_its_number():
    spread, volts = 0.05 * ARRAY, RNG.normal(size=6)
    noise = read_noise(np.tile(volts, (4000, 1)), spread, seed=11)
    expected = np.sqrt(volts**2 @ spread**2)
    # Four standard errors of a standard deviation and of a mean over 4000.
    np.testing.assert_allclose(noise.std(axis=0), expected, rtol=4 / math.sqrt(8000))
    assert (np.abs(noise.mean(axis=0)) < 4 * expected / math.sqrt(4000)).all()
    correlations = np.corrcoef(noise.T) - np.eye(9)
    assert np.abs(correlations).max() < 5 / math.sqrt(4000)
    np.testing.assert_array_equal(read_noise(volts, spread, seed=11, number=700)[0], noise[700])
    assert (read_noise(volts, spread, seed=12)[0] != noise[0]).all()
