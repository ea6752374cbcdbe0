"""What is connected: every VISA resource, what it says that it is, and which drivers fit."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pyvisa

from labneuro.instruments.visa import InstrumentError, VisaLine
from labneuro.registry import RegistryError, drivers, load_driver

_SPEAKS = re.compile(r".*::(INSTR|SOCKET)", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """A VISA resource.

    identity: its answer to `*IDN?`, "" if there is none. trouble: why there is none. drivers: names, for a bench file,
    of those that fit, none or several.
    """

    resource: str
    identity: str = ""
    trouble: str = ""
    drivers: tuple[str, ...] = ()


def scan(visa_library: str = "", timeout: float = 1.0, *, serial: bool = False) -> Iterator[Found]:
    """Ask each VISA resource for its identity and nothing else; yield them one by one, as asking takes time.

    Resources on the network are found only as far as the library finds them, or has been told of them.

    Args:
        visa_library: as PyVISA takes it, such as "@py"; default: what PyVISA finds
        timeout: longest time that an answer takes, s
        serial: ask serial lines too; what does not speak SCPI may take the question for a command

    Raises InstrumentError if the library can't be used.
    """
    try:
        resources = pyvisa.ResourceManager(visa_library).list_resources("?*")
    except Exception as error:  # each library raises its own
        name = repr(visa_library) if visa_library else "found by PyVISA"
        what = f"the VISA library {name} lists no resources: {' '.join(str(error).split())}"
        raise InstrumentError(f"{what}: install or name another") from error
    models = _models()
    for resource in filter(_SPEAKS.fullmatch, resources):
        if resource.upper().startswith("ASRL") and not serial:
            yield Found(resource, trouble="a serial line, not asked")
            continue
        try:
            identity = _identity(resource, visa_library, timeout)
        except InstrumentError as error:
            yield Found(resource, trouble=str(error).removeprefix(f"{resource}: "))
            continue
        yield Found(resource, identity, drivers=tuple(name for name in models if re.search(models[name], identity)))


def _identity(resource: str, visa_library: str, timeout: float) -> str:
    line = VisaLine(resource, visa_library, timeout)
    try:
        line.write("*IDN?")
        return line.read()
    finally:
        line.close()


def _models() -> dict[str, str]:
    """Return the patterns of model by name of driver, of those that are for instruments and can be imported."""
    models: dict[str, str] = {}
    for name in (name for name, entry in drivers().items() if entry.group == "labneuro.drivers"):
        with suppress(RegistryError):
            model: object = getattr(load_driver(name), "MODEL", None)
            if isinstance(model, str):
                models[name] = model
    return models
