"""The switch matrices: channel lists of either make, and what moves no relay."""

import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.simulators.rack.instrument import Session
from labneuro.simulators.rack.switch_matrices import Keithley7001, Keithley7002, Keysight34980A


def ask(matrix, message: str) -> str:
    session = Session()
    matrix.handle(session, message.encode())
    return session.output.decode().removesuffix("\n")


def errors(matrix) -> list[int]:
    codes = [code for code, _ in matrix.status.errors]
    matrix.status.clear()
    return codes


MAKES = [(Keysight34980A, "1203", "1301:1304", "2101"), (Keithley7001, "1!2!3", "1!3!1:1!3!4", "2!1!1")]


@pytest.mark.parametrize(("model", "one", "some", "second"), MAKES)
def test_relays_are_named_by_slot_row_and_column_and_those_of_the_first_card_come_first(model, one, some, second):
    matrix, moves = model(VirtualClock()), []
    matrix.changed = lambda: moves.append(matrix.closed.sum())
    ask(matrix, f":ROUT:CLOS (@{one},{some})")
    ask(matrix, f"clos (@{second})")
    assert np.argwhere(matrix.closed).tolist() == [[0, matrix.card[2]], [1, 2], [2, 0], [2, 1], [2, 2], [2, 3]]
    ask(matrix, f"ROUTE:OPEN (@{some})")
    assert ask(matrix, f":CLOS? (@{one},{some},{second})") == "1,0,0,0,0,1"
    assert ask(matrix, f":ROUT:OPEN? (@ {one} , {second})") == "0,0"
    assert moves == [5, 6, 2]
    assert not errors(matrix)


@pytest.mark.parametrize(
    ("model", "lists"),
    [
        (Keysight34980A, {"(@1!1!1)": -171, "(@1501)": -222, "(@9101)": -222, "(@1104:1101)": -222, "1101": -171}),
        (Keithley7002, {"(@1101)": -171, "(@1!5!1)": -222, "(@11!1!1)": -222, "(@1!1!1:1!2!1)": -222, "(@)": -171}),
    ],
)
def test_a_list_with_a_relay_that_is_not_there_moves_none(model, lists):
    matrix = model(VirtualClock())
    for text, code in lists.items():
        ask(matrix, f":CLOS {text}")
        assert errors(matrix)[-1] == code
    assert not matrix.closed.any()


def test_a_reset_opens_the_relays_of_a_34980a_and_leaves_those_of_a_7002_to_its_power():
    keysight, keithley = Keysight34980A(VirtualClock()), Keithley7002(VirtualClock())
    for matrix, name in ((keysight, "1101"), (keithley, "1!1!1")):
        ask(matrix, f"CLOS (@{name});*RST")
    assert [keysight.closed.any(), keithley.closed.any()] == [False, True]
    keithley.power_on()
    assert not keithley.closed.any()


def test_each_make_opens_all_in_its_own_words():
    keysight, keithley = Keysight34980A(VirtualClock()), Keithley7001(VirtualClock())
    ask(keysight, "CLOS (@1101,2101);:OPEN:ALL 1")
    assert np.argwhere(keysight.closed).tolist() == [[0, 16]]
    ask(keysight, "OPEN:ALL")
    ask(keithley, "CLOS (@1!1!1,2!4!10);:OPEN ALL")
    assert not keysight.closed.any()
    assert not keithley.closed.any()
    assert ask(keysight, "SYST:CTYP? 3") == "Agilent Technologies,34932A,MY44000003,1.00"
