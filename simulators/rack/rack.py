"""The virtual rack: emulated instruments wired to emulated devices, as the table `[rack]` of a bench file says."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from pyvisa.rname import to_canonical_name

from labneuro.bench import BenchError, load
from labneuro.clock import Clock, VirtualClock
from labneuro.parameters import ParameterError, suggestion, takes_clock
from labneuro.racks import Rack, RackPlan, Refusal, Values
from labneuro.registry import RegistryError, load_driver, load_model, models
from labneuro.roles import Role
from labneuro.simulators.rack.faults import Faults, Faulty
from labneuro.simulators.rack.instrument import Instrument
from labneuro.simulators.rack.serving import serve
from labneuro.simulators.rack.visa import visa_library
from labneuro.simulators.rack.wiring import Pulls, Wire, connect
from labneuro.simulators.receiver import Sweep
from labneuro.simulators.terminals import EmissionTerminal, Terminal

_WIRE = re.compile(r"([\w-]+)(?:\.(\w+))?\s*->\s*([\w-]+)(?:\.(\w+))?")


@dataclass(frozen=True, kw_only=True)
class _Rack:
    """The keys of the table `[rack]`."""

    instruments: dict[str, object]
    devices: dict[str, object] | None = None
    wires: dict[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class _Device:
    """The keys of a device."""

    driver: str
    settings: dict[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class _Instrument:
    """The keys of an instrument."""

    model: str
    resource: str
    faults: dict[str, object] | None = None


@dataclass(frozen=True)
class _Plan:
    """What is switched on: a class with its keyword arguments; of an instrument, where it is and what befalls it."""

    cls: type[Any]
    settings: Mapping[str, Any]
    resource: str = ""
    faults: Faults | None = None


@dataclass(frozen=True)
class VirtualRackPlan(RackPlan):
    """A checked rack.

    devices, instruments: by name. wires: by what the file calls them.
    """

    devices: Mapping[str, _Plan]
    instruments: Mapping[str, _Plan]
    wires: Mapping[str, tuple[str, str, str, Wire]]
    refusal: Refusal

    @classmethod
    def read(cls, content: Mapping[str, object], values: Values, refusal: Refusal) -> "VirtualRackPlan":
        """Return the plan that a table describes. Raises what `values` and `refusal` make."""
        top = _Rack(**values(_Rack, content, ()))

        def tables(kind: str, given: Mapping[str, object] | None) -> dict[str, dict[str, object]]:
            for name, table in (given or {}).items():
                if not isinstance(table, dict):
                    raise refusal((kind, name), f"{table!r} is not allowed: write a table")
            return cast("dict[str, dict[str, object]]", given or {})

        devices: dict[str, _Plan] = {}
        for name, table in tables("devices", top.devices).items():
            key = ("devices", name)
            device = _Device(**values(_Device, table, key))
            try:
                driver: Any = load_driver(device.driver)
            except RegistryError as error:
                raise refusal((*key, "driver"), str(error)) from error
            if not hasattr(driver, "terminals"):
                raise refusal((*key, "driver"), f"'{device.driver}' has no terminals: name an emulated chip")
            devices[name] = _Plan(driver, values(driver, device.settings or {}, (*key, "settings")))
        instruments: dict[str, _Plan] = {}
        for name, table in tables("instruments", top.instruments).items():
            key = ("instruments", name)
            instrument = _Instrument(**values(_Instrument, table, key))
            try:
                model = load_model(instrument.model)
            except RegistryError as error:
                raise refusal((*key, "model"), str(error)) from error
            if not (isinstance(model, type) and issubclass(model, Instrument)):
                raise refusal((*key, "model"), f"'{instrument.model}' is no emulated instrument: {', '.join(models())}")
            injected = None
            if instrument.faults is not None:
                try:
                    injected = Faults(**values(Faults, instrument.faults, (*key, "faults")))
                except ParameterError as error:
                    raise refusal((*key, "faults", error.parameter), error.reason) from None
            if name in devices:
                raise refusal(key, "there is a device of this name: choose another")
            try:
                resource = to_canonical_name(instrument.resource)
            except ValueError:
                what = f"{instrument.resource!r} is no VISA resource"
                raise refusal((*key, "resource"), f'{what}: give one such as "GPIB0::12::INSTR"') from None
            for other, plan in instruments.items():
                if plan.resource == resource:
                    raise refusal((*key, "resource"), f"{other} has {resource}: give each its own")
            instruments[name] = _Plan(model, {}, resource, injected)
        wires: dict[str, tuple[str, str, str, Wire]] = {}
        fed: set[tuple[str, str]] = set()
        for words, table in tables("wires", top.wires).items():
            key = ("wires", words)
            match = _WIRE.fullmatch(words.strip())
            if match is None:
                raise refusal(key, 'not a wire: write "source -> chip.terminal" or "chip.terminal -> meter"')
            left, left_terminal, right, right_terminal = match.groups()
            device, terminal, instrument_name, port = (
                (left, left_terminal, right, right_terminal)
                if left in devices
                else (right, right_terminal, left, left_terminal)
            )
            for kind, name, known in (("device", device, devices), ("instrument", instrument_name, instruments)):
                if name not in known:
                    raise refusal(key, f"no {kind} {name!r} in this rack; {suggestion(name, known)}")
            if port:
                raise refusal(key, f"{instrument_name} has no terminal {port!r}: instruments are named alone")
            if any(instrument_name == wired for wired, *_ in wires.values()):
                raise refusal(key, f"{instrument_name} has a wire already: give each instrument one")
            if device == right:
                if (device, terminal) in fed:
                    raise refusal(key, f"{right}.{terminal} is fed by another wire: give each terminal one source")
                fed.add((device, terminal))
            wires[words] = (instrument_name, device, terminal or "", Wire(**values(Wire, table, key)))
        return cls(devices, instruments, wires, refusal)

    def warm_up(self) -> None:
        """Compile what the devices need, with devices that are thrown away."""
        for device in self.build(VirtualClock()).devices.values():
            for terminal in cast("Any", device).terminals.values():
                if isinstance(terminal, EmissionTerminal):
                    for averages in (1, 100):
                        terminal.swept(Sweep(300e6, 400e6, 101, 1e6, averages))

    def build(self, clock: Clock) -> "VirtualRack":
        """Wire everything and switch it on. Raises the error of the bench file for a terminal that isn't there."""
        devices: dict[str, Any] = {}
        for name, plan in self.devices.items():
            try:
                devices[name] = plan.cls(**plan.settings, **({"clock": clock} if takes_clock(plan.cls) else {}))
            except ValueError as error:
                raise self.refusal(("devices", name), str(error)) from error
        bare: dict[str, Instrument] = {name: plan.cls(clock) for name, plan in self.instruments.items()}
        instruments: dict[str, Any] = {
            name: bare[name] if plan.faults is None else Faulty(bare[name], plan.faults)
            for name, plan in self.instruments.items()
        }
        pulls: dict[str, Pulls] = {name: [] for name in devices}
        for words, (instrument, device, terminal, wire) in self.wires.items():
            terminals: Mapping[str, Terminal] = devices[device].terminals
            if terminal not in terminals:
                known = suggestion(terminal, terminals)
                raise self.refusal(("wires", words), f"{device} has no terminal {terminal!r}; {known}")
            try:
                connect(instruments[instrument], terminals[terminal], wire, pulls[device])
            except TypeError as error:
                raise self.refusal(("wires", words), str(error)) from None
        return VirtualRack(clock, devices, bare, instruments, {n: p.resource for n, p in self.instruments.items()})


class VirtualRack(Rack):
    """A rack that is switched on.

    devices: the emulated chips by name. bare: the emulated instruments. instruments: the same with their faults.
    """

    def __init__(
        self,
        clock: Clock,
        devices: Mapping[str, Role],
        bare: Mapping[str, Instrument],
        instruments: Mapping[str, Any],
        resources: Mapping[str, str],
    ) -> None:
        self.clock = clock
        self.devices = devices
        self.bare = bare
        self.instruments = instruments
        self.library = visa_library({resource: instruments[name] for name, resource in resources.items()})
        self.visa_library = f"{self.library.library_path}@labneuro"

    @property
    def deaths(self) -> Sequence[str]:
        """A line about each device that has been destroyed."""
        return [f"{name}: {death}" for name, device in self.devices.items() for death in _deaths(device)]

    def snapshot(self) -> dict[str, Any]:
        """Return all that the devices and instruments remember."""
        return {
            "devices": {name: device.snapshot() for name, device in self.devices.items()},
            "instruments": {name: _state(instrument) for name, instrument in self.bare.items()},
            "faults": {name: _state(faulty) for name, faulty in self.instruments.items() if isinstance(faulty, Faulty)},
        }

    def restore(self, snapshot: Any) -> None:
        """Put devices and instruments back to where they were at `snapshot`."""
        for name, state in snapshot["instruments"].items():
            vars(self.bare[name]).update(_keyed(state))
        for name, state in snapshot["faults"].items():
            vars(self.instruments[name]).update(_keyed(state))
        for name, state in snapshot["devices"].items():
            self.devices[name].restore(state)

    def serve(self, host: str, ports: Mapping[str, int]) -> AbstractContextManager[Mapping[str, Sequence[str]]]:
        """Let other processes reach the instruments; give the VISA resources of each by its name."""
        return serve(
            self.instruments,
            self.clock,
            host=host,
            hislip_port=ports["hislip"],
            vxi11_port=ports["vxi11"],
            socket_port=ports["socket"],
        )

    def close(self) -> None:
        """Let no driver find the instruments any more."""
        self.library.instruments.clear()


def _deaths(device: Any) -> Sequence[str]:
    return getattr(device, "deaths", ())


def _state(instrument: Any) -> dict[str, Any]:
    """Return the plain attributes of an instrument: numbers, text, arrays, and what contains them."""
    return {name: _pairs(value) for name, value in vars(instrument).items() if _plain(value)}


def _plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(_plain(item) for pair in cast("dict[Any, Any]", value).items() for item in pair)
    if isinstance(value, list | tuple):
        return all(map(_plain, cast("list[object]", value)))
    return value is None or isinstance(value, bool | int | float | str | bytes | np.ndarray)


def _pairs(value: Any) -> Any:
    """Return plain data with dicts, whose keys may be numbers and tuples, as lists of pairs."""
    if isinstance(value, dict):
        return {"pairs": [[_pairs(k), _pairs(v)] for k, v in cast("dict[Any, Any]", value).items()]}
    return [_pairs(item) for item in cast("list[Any]", value)] if isinstance(value, list | tuple) else value


def _keyed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that `_state` has made into pairs."""
    return {name: _unpaired(value) for name, value in state.items()}


def _unpaired(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(k): _unpaired(v) for k, v in value["pairs"]}
    return [_unpaired(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _key(key: Any) -> Any:
    return tuple(map(_key, cast("list[Any]", key))) if isinstance(key, list) else key


def load_rack(path: str | Path, clock: Clock) -> VirtualRack:
    """Return the rack of a bench file. Raises BenchError."""
    bench = load(path)
    if not isinstance(bench.rack, VirtualRackPlan):
        raise BenchError(f"{bench.called}: it has no table [rack]: add one, or name another bench file")
    return bench.rack.build(clock)
