from typing import Any

import pytest

from labneuro.clock import VirtualClock
from labneuro.instruments.scan import Found, scan
from labneuro.instruments.visa import InstrumentError
from labneuro.simulators.rack.generators import SMB100A
from labneuro.simulators.rack.instrument import Instrument
from labneuro.simulators.rack.keithley_2400 import Keithley2400
from labneuro.simulators.rack.visa import visa_library


class Unknown(Instrument):
    identity = "SOMEONE,SOMETHING,1,1"


class Silent(Instrument):
    def handle(self, session: Any, message: bytes) -> None: ...


@pytest.fixture
def rack() -> dict[str, Instrument]:
    """Instruments by resource name."""
    clock = VirtualClock()
    return {
        "GPIB0::24::INSTR": Keithley2400(clock),
        "TCPIP0::10.0.0.5::5025::SOCKET": SMB100A(clock),
        "USB0::1::2::3::0::INSTR": Unknown(clock),
        "GPIB0::7::INSTR": Silent(clock),
        "ASRL1::INSTR": Keithley2400(clock),
    }


def test_every_resource_is_listed_with_what_it_is_and_the_drivers_that_fit(rack: dict[str, Any]) -> None:
    found = {one.resource: one for one in scan(visa_library(rack))}  # type: ignore[arg-type]
    assert found.keys() == rack.keys()
    smu = found["GPIB0::24::INSTR"]
    assert smu == Found(smu.resource, Keithley2400.identity, drivers=("keithley-2400", "keithley-2400-meter"))
    assert found["TCPIP0::10.0.0.5::5025::SOCKET"].drivers == ("rohde-schwarz-smb100a",)
    assert found["USB0::1::2::3::0::INSTR"] == Found("USB0::1::2::3::0::INSTR", Unknown.identity)
    silent = found["GPIB0::7::INSTR"]
    assert (silent.identity, silent.drivers) == ("", ())
    assert silent.trouble.startswith("an answer: time-out")


@pytest.mark.parametrize("serial", [False, True])
def test_a_serial_line_is_asked_only_if_that_is_wanted(rack: dict[str, Any], serial: bool) -> None:
    library = visa_library({"ASRL1::INSTR": rack["ASRL1::INSTR"]})
    asked: list[bytes] = []
    rack["ASRL1::INSTR"].handle = lambda session, message, handle=rack["ASRL1::INSTR"].handle: (
        asked.append(message),
        handle(session, message),
    )
    (found,) = scan(library, serial=serial)  # type: ignore[arg-type]
    assert asked == ([b"*IDN?\n"] if serial else [])
    assert bool(found.drivers) == serial
    assert bool(found.trouble) != serial


def test_nothing_but_the_name_is_asked_and_what_an_instrument_complains_of_stays(rack: dict[str, Any]) -> None:
    smu = rack["GPIB0::24::INSTR"]
    smu.handle(type("Session", (), {"output": b""})(), b":NO:SUCH 1")
    before = (dict(smu.values), smu.status.events, list(smu.status.errors))
    assert smu.status.errors
    list(scan(visa_library({"GPIB0::24::INSTR": smu})))  # type: ignore[arg-type]
    assert (dict(smu.values), smu.status.events, list(smu.status.errors)) == before


def test_a_library_that_is_not_there_is_one_error() -> None:
    with pytest.raises(InstrumentError, match=r"the VISA library '/no/such\.so' lists no resources: "):
        list(scan("/no/such.so"))
