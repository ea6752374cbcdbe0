"""Units at the edge: values are SI floats inside, strings such as "4.5 mA" are read here and nowhere else.

A protocol or a driver declares the unit of a value in its type, `current: Current = 4.5e-3`, and the command
line, the bench file and the run file take it from there.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from pint import UnitRegistry
    from pydantic import GetCoreSchemaHandler

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S.*?)?\s*")
_SYMBOL = re.compile(r"(?:1\s*/\s*)?[^\W\d]+(?:(?:\^|\*\*)-?\d)?(?:\s*[*/·]\s*[^\W\d]+(?:(?:\^|\*\*)-?\d)?)*|%")
# Not kg, which has its prefix, nor Hz^2, where MHz^2 would be (MHz)^2.
_PREFIXABLE = re.compile(r"[sm]$|[^\W\d_a-z][^\W\d_]*\b(?!\^|\*\*)")


@lru_cache(maxsize=1)
def _registry() -> "UnitRegistry[Any]":
    from pint import UnitRegistry  # noqa: PLC0415 - slow to import, and often not needed

    return UnitRegistry(autoconvert_offset_to_baseunit=True)


def parse_quantity(text: str, unit: str) -> float:
    """Return `text`, a number with a unit such as "8 mA", "-3 dBm" or "0.1 mA/ms", in `unit`.

    The number must be finite and, unless `unit` is "1", have a unit. Raises ValueError with the way out.
    """
    import pint  # noqa: PLC0415 - as above

    match = _QUANTITY.fullmatch(text)
    example = f'write a number and a unit, such as "1 {unit}"' if unit != "1" else "write a plain number"
    if match is None:
        raise ValueError(f"{text!r} is not a quantity: {example}")
    number, symbol = match.groups()
    if symbol is None:
        if unit != "1":
            raise ValueError(f"{text!r} has no unit: {example}")
        symbol = "dimensionless"
    unknown = f"{text!r}: {symbol!r} is not a known unit: {example}"
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError(unknown)
    if unit == "dB" and symbol != unit:  # "50 %" would be -3 dB: a loss taken for a gain
        raise ValueError(f"{text!r} can't be converted to {unit}: {example}")
    try:
        quantity = cast("Any", _registry().Quantity(float(number), symbol))
        value = float(quantity.to(unit).magnitude)
    except pint.errors.DimensionalityError:
        raise ValueError(f"{text!r} can't be converted to {unit}: {example}") from None
    except (pint.errors.PintError, AttributeError, TypeError, ValueError, ArithmeticError):
        raise ValueError(unknown) from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite: {example}")
    return value


def format_quantity(value: float, unit: str) -> str:
    """Return `value` (in `unit`) as a person writes it: "4.5 mA", "350 MHz", "0 dBm" for powers in W."""
    if unit in {"", "1"}:
        return f"{value:g}"
    if not math.isfinite(value):
        return f"{value} {unit}"
    if unit == "W" and value > 0:
        return f"{10 * math.log10(value / 1e-3):.4g} dBm"
    rounded = float(f"{value:.6g}")
    if rounded == 0 or not _PREFIXABLE.match(unit):
        return f"{rounded:g} {unit}"
    exponent = min(max(3 * math.floor(math.log10(abs(rounded)) / 3 + 1e-9), -15), 12)
    prefix = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}[exponent]
    return f"{rounded / 10.0**exponent:.6g} {prefix}{unit}"


@dataclass(frozen=True)
class Unit:
    """The SI unit of an annotated value; pydantic then also reads strings in any unit of that dimension."""

    symbol: str

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> CoreSchema:
        """Read a string with `parse_quantity` before the value itself is validated."""

        def read(value: object) -> object:
            return parse_quantity(value, self.symbol) if isinstance(value, str) else value

        return core_schema.no_info_before_validator_function(read, handler(source))


FloatArray = NDArray[np.float64]

Current = Annotated[float, Unit("A")]
Voltage = Annotated[float, Unit("V")]
Frequency = Annotated[float, Unit("Hz")]
Power = Annotated[float, Unit("W")]
PowerDensity = Annotated[float, Unit("W/Hz")]
Duration = Annotated[float, Unit("s")]
CurrentRamp = Annotated[float, Unit("A/s")]
Energy = Annotated[float, Unit("J")]
Resistance = Annotated[float, Unit("ohm")]
VoltageTime = Annotated[float, Unit("V*s")]
Decibels = Annotated[float, Unit("dB")]
Fraction = Annotated[float, Unit("1")]

Currents = Annotated[FloatArray, Unit("A")]
Frequencies = Annotated[FloatArray, Unit("Hz")]
Powers = Annotated[FloatArray, Unit("W")]
