"""An oscillator chip made of instruments: direct-current sources, microwave generators and a spectrum analyzer."""

# ruff: noqa: D102 - a method without a docstring means what its role says

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, cast

import numpy as np
from annotated_types import Ge, Gt

from labneuro.attempts import in_words, raise_all, try_all
from labneuro.clock import Clock
from labneuro.instruments.visa import InstrumentError
from labneuro.roles import CurrentSource, OscillatorChip, RFSource, SpectrumAnalyzer, Wiring
from labneuro.signals import Spectrum, StateArray, Tones, device_currents, source_currents
from labneuro.synchronisation import SpectralDetector
from labneuro.units import Current, Duration, FloatArray, Frequency, format_quantity

CALIBRATED = 15
"""Number of currents at which the oscillators are calibrated."""

MOST_SEARCHED = 8
"""Most sources in series for which all orders of changing them are compared."""


class OscillatorRig(OscillatorChip):
    """Oscillators at a probe station; their locking is read from spectra.

    What was changed is waited for when something is next looked at, so that a ramp of many steps settles once. The
    analyzer is set up anew for each question, as others may have used it since the last.
    """

    def __init__(
        self,
        clock: Clock,
        currents: Sequence[CurrentSource],
        tones: Sequence[RFSource],
        analyzer: SpectrumAnalyzer,
        *,
        wiring: Wiring = "separate",
        start: Annotated[Frequency, Gt(0)],
        stop: Annotated[Frequency, Gt(0)],
        rbw: Annotated[Frequency, Gt(0)],
        averages: Annotated[int, Ge(1)] = 20,
        settling: Annotated[Duration, Ge(0)] = 10e-3,
        lowest_current: Annotated[Current, Gt(0)],
        highest_current: Annotated[Current, Gt(0)],
    ) -> None:
        """Put instruments together; nothing is sent.

        Args:
            clock: Time of the bench.
            currents: Direct-current sources, that of oscillator 1 first.
            tones: Microwave generators, source A first.
            analyzer: What shows the emission of all oscillators.
            wiring: How the current sources are wired to the oscillators.
            start: Lower end of the analyzer's span.
            stop: Upper end of the analyzer's span.
            rbw: Resolution bandwidth of the analyzer.
            averages: Traces averaged by the analyzer.
            settling: Time that device, sources and wiring take to settle after a change.
            lowest_current: Lower end of the range in which the oscillators are calibrated, one on at a time.
            highest_current: Upper end of this range.
        """
        if not (currents and tones):
            found = f"{len(currents)} current sources and {len(tones)} RF sources"
            raise ValueError(f"an oscillator rig of {found}: name at least one of each")
        for name, low, high, unit in (
            ("stop", start, stop, "Hz"),
            ("highest_current", lowest_current, highest_current, "A"),
        ):
            if not low < high:
                ends = format_quantity(high, unit), format_quantity(low, unit)
                raise ValueError("{}: {} is not above {}: give a wider range".format(name, *ends))
        self._clock = clock
        self._direct = currents
        self._rf = tones
        self._analyzer = analyzer
        self._wiring: Wiring = wiring
        self._start = start
        self._configure = partial(analyzer.configure, start, stop, rbw=rbw, averages=averages)
        self._settling = settling
        self._settled_at = clock.now()
        self._calibrated = np.linspace(lowest_current, highest_current, CALIBRATED)
        self._detector = SpectralDetector(self, self._calibrated)

    def calibrate_through(self, chip: OscillatorChip) -> None:
        """Take the calibration through `chip`: this rig behind its limits, which are then those of the calibration."""
        self._detector = SpectralDetector(chip, self._calibrated)

    @property
    def identity(self) -> str:
        """The wiring, and the identity of each instrument."""
        parts = "; ".join(part.identity for part in (*self._direct, *self._rf, self._analyzer))
        return f"oscillator rig, {self._wiring} wiring: {parts}"

    @property
    def oscillators(self) -> int:
        return len(self._direct)

    @property
    def sources(self) -> int:
        return len(self._rf)

    @property
    def wiring(self) -> Wiring:
        return self._wiring

    @property
    def currents(self) -> FloatArray:
        sourced = self._sourced()
        return device_currents(sourced) if self._wiring == "series" else sourced

    def set_currents(self, currents: FloatArray) -> None:
        """Send `currents`, (oscillators,), A, at once; in series, the sources in their `safest_order`.

        A source that reads back what it is asked for is left as it is. Raises InstrumentError when one fails, with
        those that have their new currents and those that keep their old ones.
        """
        before = self._sourced()
        wanted = source_currents(currents) if self._wiring == "series" else currents
        if wanted.shape != before.shape:
            raise ValueError(f"currents of shape {wanted.shape}: give one for each of {len(before)} oscillators")
        order = safest_order(before, wanted) if self._wiring == "series" else range(len(before))
        moves = [k for k in order if wanted[k] != before[k]]
        done: list[int] = []
        try:
            for k in moves:
                self._direct[k].set_current(float(wanted[k]))
                done.append(k)
        except Exception as error:
            failed, *left = moves[len(done) :]
            what = f"direct-current source {failed + 1} was not set to {format_quantity(float(wanted[failed]), 'A')}"
            new, old = ([k + 1 for k in part] or "none" for part in (done, left))
            state = f"at their new currents: {new}, still at their old ones: {old}"
            raise InstrumentError(f"{what}: {in_words(error)}; {state}: make the rig safe") from error
        finally:
            self._changed()

    def apply(self, tones: Tones | None) -> None:
        """Put one operating point on the generators; None switches all off, whatever becomes of one of them."""
        try:
            if tones is None:
                off = [partial(source.set_tone, self._start, 0.0) for source in self._rf]
                raise_all("not all RF sources were switched off", try_all(off))
                return
            (frequencies,), (powers,) = tones.frequency.tolist(), tones.power.tolist()
            for source, frequency, power in zip(self._rf, frequencies, powers, strict=True):
                source.set_tone(frequency, power)
        finally:
            self._changed()

    def spectrum(self) -> Spectrum:
        self._configure()
        return self._trace()

    def spectra(self, tones: Tones) -> Spectrum:
        """Return the spectra, (points, bins), taken one after the other; the sources are off afterwards, come what may.

        Raises ValueError without any point.
        """
        if not len(tones):
            raise ValueError("spectra of no operating points: give at least one")
        traces: list[Spectrum] = []
        with self._off_afterwards():
            self._configure()
            for point in range(len(tones)):
                self.apply(tones[point : point + 1])
                traces.append(self._trace())
        shown = traces[0]
        return Spectrum(shown.frequency, np.stack([trace.density for trace in traces]), shown.rbw, shown.averages)

    def synchronisation(self, tones: Tones) -> StateArray:
        """Return the states that spectra show, (points, oscillators); the sources are off afterwards, come what may.

        The first time, the oscillators are calibrated: one after the other is swept through its range.
        """
        with self._off_afterwards():
            return self._detector.states(tones)

    def make_safe(self) -> None:
        """Switch all RF off, bring all currents to zero, then make each current source safe, whatever fails before."""
        off = [source.make_safe for source in self._rf]
        down = partial(self.set_currents, np.zeros(self.oscillators))
        raise_all("oscillator rig was not made safe", try_all([*off, down, *(s.make_safe for s in self._direct)]))

    def snapshot(self) -> object:
        """Return the calibration, so that a resumed run goes on with it."""
        return self._detector.snapshot()

    def restore(self, snapshot: object) -> None:
        """Go on with the calibration of `snapshot`; no output changes."""
        self._detector.restore(cast("list[dict[str, FloatArray]]", snapshot))

    def _sourced(self) -> FloatArray:
        """Return what the sources read back, (oscillators,), A."""
        return np.array([source.current for source in self._direct])

    def _changed(self) -> None:
        self._settled_at = self._clock.now() + self._settling

    def _trace(self) -> Spectrum:
        self._clock.sleep(max(0.0, self._settled_at - self._clock.now()))
        return self._analyzer.trace()

    @contextmanager
    def _off_afterwards(self) -> Generator[None, None, None]:
        try:
            yield
        except BaseException as error:
            for failure in try_all([partial(self.apply, None)]):
                error.add_note(in_words(failure))
            raise
        self.apply(None)


def safest_order(before: FloatArray, after: FloatArray) -> list[int]:
    """Return the order in which to change sources in series from `before` to `after`, (sources,), A.

    Device k carries the sum of sources 1 to k, on the way a sum of old and new ones. In no other order do devices pass
    less beyond the larger of their old and new current, whatever its direction. Where all flow in one direction and are
    far from zero compared with their changes, none does: the sources that lower currents go first. Else none does by
    more than the largest change of any device: from the last source to the first, when source j has been changed, each
    device from j on is as far from its new current as device j - 1 has still to go. That is the order taken for more
    than MOST_SEARCHED sources.
    """
    n = before.size
    if n > MOST_SEARCHED:
        return list(range(n))[::-1]
    # A set of sources that have been changed is a number, in which source k is bit k.
    changed = np.arange(1 << n)[:, None] >> np.arange(n) & 1
    flowing = np.abs(device_currents(np.where(changed, after, before)))
    beyond: list[float] = np.max(flowing - np.maximum(flowing[0], flowing[-1]), axis=1).tolist()
    last = [0] * (1 << n)
    for done in range(1, 1 << n):
        on_the_way, last[done] = min((beyond[done ^ 1 << k], k) for k in range(n) if done >> k & 1)
        beyond[done] = max(beyond[done], on_the_way)
    order: list[int] = []
    done = (1 << n) - 1
    while done:
        order.insert(0, last[done])
        done ^= 1 << last[done]
    return order
