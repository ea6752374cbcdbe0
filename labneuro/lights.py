"""How each part of a bench stands, as far as the journal of a run tells: its last settings, its limits, and a light."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Literal, cast

import numpy as np

from labneuro import roles
from labneuro.following import Asking, RunSoFar
from labneuro.limits.tones import power_gain
from labneuro.overview import time_of_day
from labneuro.progress import duration, quantity
from labneuro.registry import drivers
from labneuro.script import REFUSED
from labneuro.signals import Pulses, Tones
from labneuro.units import format_quantity, parse_quantity

Colour = Literal["green", "yellow", "red", "grey"]

PATIENCE = 1.0
"""How long a part may take to answer before that is mentioned, s."""

NEAR = 0.95
"""What part of a limit a level may reach before that is mentioned."""

_UNITS = {
    "current": "A", "currents": "A", "voltage": "V", "power": "W", "gate": "V", "duration": "s",
    "frequency": "Hz", "start": "Hz", "stop": "Hz", "rbw": "Hz",
}  # fmt: skip
"""Units of the arguments of verbs, by name."""

_LEVELS = {
    "set_current": ("current", "A", "max_current", ""),
    "set_currents": ("currents", "A", "max_current", ""),
    "set_voltage": ("voltage", "V", "max_voltage", ""),
    "set_tone": ("power", "W", "max_power", "loss"),
    "apply": ("tones", "W", "max_rf_power", "rf_loss"),
}
"""Settings whose size has a limit: argument, unit, limit at the device, loss on the way there, dB."""

_UNUSED = "not asked yet"


@dataclass(frozen=True)
class Light:
    """How a part stands.

    identity: what it says it is, "" if it was never asked. driver: what plays it. settings: those that hold, as they
    were asked last, with what they were set to, in words. limits: as the bench file has them. words: why the light has
    its colour. green: it answers. yellow: look at it. red: something is wrong. grey: it is not in use.
    """

    part: str
    identity: str
    driver: str
    settings: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str], ...]
    colour: Colour
    words: str


def lights(run: RunSoFar, now: float) -> list[Light]:
    """Return how each part of the bench of a run stands at `now`, s since 1970."""
    plans = _plans(run.bench)
    found = {name: _light(run, name, plans.get(name, {}), now) for name in {**plans, **run.parts, **run.standing.left}}
    for rig, plan in plans.items():
        for member in _members(plan):
            if member in found and found[member].words == _UNUSED:
                words = f"asked by {rig}: {found[rig].words}"
                found[member] = replace(found[member], colour=found[rig].colour, words=words)
    return list(found.values())


def _light(run: RunSoFar, part: str, plan: Mapping[str, Any], now: float) -> Light:
    settings, limits = _settings(run, part), dict(plan.get("limits", {}))
    colour, words = _verdict(run, part, plan, settings, now)
    return Light(
        part,
        run.parts.get(part, ""),
        str(plan.get("driver", "")),
        tuple((verb, _shown(asking.arguments)) for verb, asking in settings.items()),
        tuple((name, str(limit)) for name, limit in limits.items()),
        colour,
        words,
    )


def _verdict(
    run: RunSoFar, part: str, plan: Mapping[str, Any], settings: Mapping[str, Asking], now: float
) -> tuple[Colour, str]:
    """Return colour and words of a part: what is worst comes first."""
    standing, left = run.standing, run.standing.left.get(part)
    verb = next((verb for name, verb in reversed(list(run.exchanges)) if name == part), "")
    last = run.exchanges[part, verb] if verb else Asking({}, 0.0)
    if left is not None:
        return ("grey", f"left safe: {left.words}") if left.confirmed else ("red", f"NOT made safe: {left.words}")
    if standing.dead and (settings or standing.put_back.get(part)) and not _emulated(plan):
        return "red", "the process of the run died: what it was set to last may still be on"
    if last.error:
        return "red", f"{verb}: {last.error}"
    if standing.dead:
        return "grey", "the process of the run died"
    if verb and not last.answered and now - last.time > PATIENCE:
        return "yellow", f"waiting for {verb} for {duration(now - last.time)}"
    if part in standing.put_back:
        return "yellow", f"put back: {standing.put_back[part]}"
    if near := _near(settings, plan.get("limits", {})):
        return "yellow", near
    if standing.paused and settings:
        return "yellow", "paused: its outputs stay as they are"
    if not verb:
        return "grey", _UNUSED
    return "green", f"{verb} {'answered' if last.answered else 'asked'} at {time_of_day(last.time)}"


def _settings(run: RunSoFar, part: str) -> dict[str, Asking]:
    """Return the settings of a part that hold, or may hold, as they were asked last, by verb."""
    kinds, left = _verbs(), part in run.standing.left
    settings: dict[str, Asking] = {}
    for name, verb in run.exchanges:
        if name != part or verb not in kinds:
            continue
        for cleared in kinds[verb].clears:
            settings.pop(cleared, None)
        if kinds[verb].kind == "setting" and verb != "make_safe" and not (left and verb in kinds["make_safe"].clears):
            asking = run.exchanges[name, verb]
            if not asking.error.startswith(REFUSED):
                settings[verb] = asking
    return settings


@cache
def _verbs() -> dict[str, roles.Verb]:
    """Return what the roles of the core can be asked, by name."""
    kinds = [kind for kind in vars(roles).values() if isinstance(kind, type) and issubclass(kind, roles.Role)]
    verbs = {name: verb for kind in kinds for name, verb in roles.verbs(kind).items()}
    ends = {name for kind in kinds for name in roles.verbs(kind)["make_safe"].clears}
    return {**verbs, "make_safe": replace(verbs["make_safe"], clears=tuple(ends))}


@lru_cache(maxsize=4)
def _plans(bench: str) -> dict[str, dict[str, Any]]:
    """Return the tables of the parts in the text of a bench file; where instruments are emulated, each says so."""
    with suppress(tomllib.TOMLDecodeError):
        content = tomllib.loads(bench)
        parts = cast("dict[str, Any]", content.get("parts", {}))
        return {name: {"racked": "rack" in content, **plan} for name, plan in parts.items() if isinstance(plan, dict)}
    return {}


def _members(plan: Mapping[str, Any]) -> Iterator[str]:
    for names in plan.get("made_of", {}).values():
        yield from [names] if isinstance(names, str) else names


def _emulated(plan: Mapping[str, Any]) -> bool:
    """Return whether a part ends with the process that plays it."""
    driver = drivers().get(str(plan.get("driver")))
    return bool(plan.get("racked")) or (driver is not None and driver.group == "labneuro.simulators")


def _near(settings: Mapping[str, Asking], limits: Mapping[str, Any]) -> str:
    """Return which level is near to which limit, "" if none is."""
    for verb in settings.keys() & _LEVELS.keys():
        argument, unit, limit, loss = _LEVELS[verb]
        level: Any = settings[verb].arguments.get(argument)
        size = float(np.max(np.abs(level.power if isinstance(level, Tones) else level))) if level is not None else 0.0
        with suppress(KeyError, ValueError, TypeError):
            most = _limit(limits[limit], unit) / power_gain(_limit(limits.get(loss, "0 dB"), "dB"))
            if size >= NEAR * most:
                return f"{format_quantity(size, unit)} is near to {limit}, {limits[limit]}"
    return ""


_limit = cache(parse_quantity)


def _shown(arguments: Mapping[str, Any]) -> str:
    """Return what something was set to, in words."""
    words = {name: _in_words(value, _UNITS.get(name, "")) for name, value in arguments.items()}
    return ", ".join(words.values() if len(words) == 1 else (f"{name} {text}" for name, text in words.items()))


def _in_words(value: object, unit: str) -> str:
    match value:
        case None:
            return "off"
        case Tones() if len(value) == 1:
            tones = zip(value.frequency[0], value.power[0], strict=True)
            return ", ".join(f"{format_quantity(f, 'Hz')} at {format_quantity(p, 'W')}" for f, p in tones)
        case Tones():
            return f"{len(value)} operating points"
        case Pulses(amplitude, width, count):
            return f"{count} × {format_quantity(amplitude, 'V')}, {format_quantity(width, 's')}"
        case _:
            return quantity(value, unit)
