from collections.abc import Callable
from typing import Any

import pytest

from labneuro.instruments.scpi import MOST_ERRORS, REPEATS, SCPIInstrument, number
from labneuro.instruments.visa import InstrumentError


class Meter(SCPIInstrument):
    MODEL = "MODEL 1"


IDENTITY = "MAKER,MODEL 1,0,0"


@pytest.fixture
def mock(mock_of: Callable[..., Any]) -> Any:
    return mock_of(IDENTITY)


@pytest.fixture
def meter(mock: Any, connected: Callable[..., Any]) -> Any:
    return connected(Meter, mock)


# --- Numbers


@pytest.mark.parametrize(("text", "value"), [("+1.000000E-03", 1e-3), (" 5 ", 5.0), ("-.5e2", -50.0), ("3.", 3.0)])
def test_a_number_is_read_as_instruments_write_it(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "text",
    ["9.9E37", "-9.9E37", "+9.910000E+37", "OVERFLOW", "", "1.2.3", "+1.23E", "nan", "inf", "1_0", "1e999", "1,2"],
)
def test_what_is_no_reading_never_becomes_a_number(meter: Any, mock: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"no number|no reading"):
        number(text)
    mock.answers[":READ?"] = text
    with pytest.raises(InstrumentError, match=r"Meter at GPIB0::12::INSTR: answered ':READ\?' with"):
        meter.values(":READ?", count=1)


# --- The error queue


def test_what_an_instrument_complains_of_raises_in_the_call_that_caused_it(meter: Any, mock: Any) -> None:
    mock.refused[":A"] = '-222,"Data out of range;too big"'
    with pytest.raises(InstrumentError, match=r"says to ':A 1': -222,\"Data out of range;too big\""):
        meter.send(":A 1", ":B 1")
    assert mock.sent == [":A 1"]
    meter.send(":B 1")


def test_several_questions_at_once_tell_of_errors_too(meter: Any, mock: Any) -> None:
    mock.held |= {":A": "1", ":B": "2"}
    assert meter.ask_all(":A?", ":B?") == ["1", "2"]
    mock.errors += ['-222,"Data out of range;too big"', '-113,"Undefined header"']
    meter.write(":C 3")
    with pytest.raises(InstrumentError, match=r"says to ':C 3': -222,\"Data out of range;too big\"; -113,"):
        meter.ask_all(":A?", ":B?")
    mock.answers[":A?;:B?;*ESR?;:SYST:ERR?"] = '1;0;0,"No error"'
    with pytest.raises(InstrumentError, match="gave 1 answers to 2 questions"):
        meter.ask_all(":A?", ":B?")
    mock.answers[":A?;:B?;*ESR?;:SYST:ERR?"] = '1;32;-113,"Undefined header;:B?"'
    with pytest.raises(InstrumentError, match=r'-113,"Undefined header;:B\?"'):
        meter.ask_all(":A?", ":B?")
    mock.answers[":A?;:B?;*ESR?;:SYST:ERR?"] = "1;2;0"
    with pytest.raises(InstrumentError, match="no error number"):
        meter.ask_all(":A?", ":B?")


def test_what_a_setting_came_to_is_in_the_answer_to_its_own_message(meter: Any, mock: Any) -> None:
    messages: list[str] = []
    mock.hook = messages.append
    assert meter.ask_all(":A?", first=":A 1;:B 2") == ["1"]
    assert meter.ask_all(":B?", first=":A?") == ["1", "2"]
    assert meter.ask_all(first=":A 3") == []
    assert messages == [
        ":A 1;:B 2;:A?;*ESR?;:SYST:ERR?",
        ":A?;:B?;*ESR?;:SYST:ERR?",
        ":A 3;*ESR?;:SYST:ERR?",
    ]
    mock.refused[":A"] = '-222,"Data out of range"'
    with pytest.raises(InstrumentError, match=r"says to ':A 4': -222"):
        meter.ask_all(":A?", first=":A 4")


def test_an_instrument_that_was_switched_off_and_on_is_sent_nothing_more_but_what_is_to_be_sent_anyway(
    meter: Any, mock: Any
) -> None:
    mock.held["*ESR"] = "1"
    assert meter.ask_all(":A?") == ["0"]
    mock.held["*ESR"] = "+129"
    mock.errors.append('-221,"Settings conflict"')  # which follows from it
    with pytest.raises(InstrumentError, match="was switched off and on and has lost its settings: open the bench"):
        meter.ask_all(":A?")
    mock.held["*ESR"] = "0"  # it tells once
    with pytest.raises(InstrumentError, match="was switched off and on"):
        meter.ask_all(first=":A 1")
    assert mock.sent == []
    assert meter.ask_all(":A?", first=":A 1", anyway=True) == ["1"]


@pytest.mark.parametrize("cut", [b'0;0;0,"No err\n', None])
def test_what_makes_safe_is_sent_again_if_it_is_not_answered_and_nothing_else_is(
    meter: Any, mock: Any, cut: bytes | None
) -> None:
    heard: list[str] = []

    def fail_once(message: str) -> bytes | None:
        if not message.startswith(":A 0") or heard.append(message) or len(heard) > 1:
            return None
        mock.read_error = None if cut else TimeoutError()
        return cut

    mock.hook = fail_once
    with pytest.raises(InstrumentError, match=r"time-out|no error number"):
        meter.ask_all(":A?", first=":A 0")
    assert len(heard) == 1
    heard.clear()
    assert meter.ask_all(":A?", first=":A 0", anyway=True) == ["0"]
    assert len(heard) == 2


def test_an_instrument_that_is_dead_is_given_up_until_it_answers(meter: Any, mock: Any) -> None:
    mock.take = lambda message: None
    for tries in (1 + REPEATS, 1):
        mock.cleared = 0
        with pytest.raises(InstrumentError, match="time-out"):
            meter.ask_all(first=":A 0", anyway=True)
        assert mock.cleared == tries
    del mock.take
    assert meter.ask_all(first=":A 0", anyway=True) == []
    mock.read_error = TimeoutError()
    assert meter.ask_all(first=":A 0", anyway=True) == []


def test_a_declared_property_of_pymeasure_raises_too(mock: Any, connected: Callable[..., Any]) -> None:
    class Declared(Meter):
        level = SCPIInstrument.control(":A?", ":A %g", "Control it.", check_set_errors=True)

    source = connected(Declared, mock)
    source.level = 3
    assert source.level == 3
    mock.refused[":A"] = '-222,"Data out of range"'
    with pytest.raises(InstrumentError, match="-222"):
        source.level = 4
    mock.answers[":A?"] = "OVERFLOW"
    with pytest.raises(InstrumentError, match="no number"):
        _ = source.level


def test_an_error_queue_without_end_is_not_read_for_ever(meter: Any, mock: Any) -> None:
    mock.answers[":SYST:ERR?"] = '-350,"Queue overflow"'
    asked: list[str] = []
    mock.hook = asked.append
    with pytest.raises(InstrumentError, match="-350"):
        meter.check_errors()
    assert len(asked) == MOST_ERRORS


def test_errors_left_by_others_are_kept_and_not_blamed_on_the_first_call(
    mock: Any, connected: Callable[..., Any]
) -> None:
    asked: list[str] = []
    mock.hook = asked.append
    left = ('-222,"Data out of range"', '+802,"Output blocked by interlock"')
    mock.errors += left
    assert connected(Meter, mock).found_errors == left
    assert asked[-1] == "*CLS"
    mock.answers[":SYST:ERR?"] = '-350,"Queue overflow"'
    assert len(connected(Meter, mock).found_errors) == MOST_ERRORS
    del mock.answers[":SYST:ERR?"]
    assert connected(Meter, mock).found_errors == ()


def test_an_answer_that_is_no_error_number_is_no_all_clear(meter: Any, mock: Any) -> None:
    mock.answers[":SYST:ERR?"] = "+1.000E-03"
    with pytest.raises(InstrumentError, match="that is no error number"):
        meter.send(":A 1")


# --- Questions and answers in step


def test_a_question_that_is_not_understood_says_what_the_instrument_says_of_it(meter: Any, mock: Any) -> None:
    def deaf(message: str) -> bytes | None:
        if message == ":NONSENSE?":
            mock.errors.append('-113,"Undefined header"')
            return b""
        return None

    mock.hook = deaf
    mock.read_error = TimeoutError()
    with pytest.raises(InstrumentError, match=r"':NONSENSE\?'.*time-out.*it says -113"):
        meter.ask(":NONSENSE?")
    assert not mock.errors


def test_an_instrument_that_is_in_step_but_never_tells_its_errors_is_given_up(meter: Any, mock: Any) -> None:
    mock.hook = lambda message: b"" if "SYST" in message else None
    mock.take = lambda message, take=mock.take: None if message in {":SYST:ERR?", ":READ?"} else take(message)
    with pytest.raises(InstrumentError, match="time-out"):
        meter.ask(":READ?")
    assert meter.identity == IDENTITY
    assert mock.cleared == 3  # on connecting, after the first and after the second time-out


@pytest.mark.parametrize("late", ["1.5", "100\n1.5"])
def test_an_answer_that_was_not_read_is_not_that_to_the_next_question(meter: Any, mock: Any, late: str) -> None:
    mock.answers |= {":A?": late, ":B?": "2.5"}
    mock.read_error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        meter.ask(":A?")
    assert meter.values(":B?", count=1) == [2.5]
    assert mock.cleared == 2  # on connecting, and now


@pytest.mark.parametrize("late", ["1.5", "102"])  # 102 is the number that it is told next
def test_late_answers_are_passed_over_where_a_clear_leaves_them(meter: Any, mock: Any, late: str) -> None:
    mock.answers |= {":A?": late, ":B?": "2.5"}
    meter.adapter.connection.clear = lambda: None
    mock.read_error = TimeoutError()
    with pytest.raises(InstrumentError, match=r"':A\?': an answer: time-out: [^;]*$"):
        meter.ask(":A?")
    assert meter.values(":B?", count=1) == [2.5]


def test_an_instrument_that_repeats_nothing_is_not_used(mock: Any, connected: Callable[..., Any]) -> None:
    mock.hook = lambda message: mock.output.extend([b"17\n"] * 1000)
    with pytest.raises(InstrumentError, match="answers, but not what it is asked: switch it off and on"):
        connected(Meter, mock)


# --- Which instrument


def test_another_instrument_at_the_address_is_refused(
    mock_of: Callable[..., Any], connected: Callable[..., Any]
) -> None:
    mock = mock_of("MAKER,MODEL 2,0,0")
    with pytest.raises(InstrumentError, match="is 'MAKER,MODEL 2,0,0': check the address"):
        connected(Meter, mock)
    assert mock.sent == []


def test_another_instrument_that_takes_the_place_of_a_lost_one_is_refused(meter: Any, mock: Any) -> None:
    mock.identity = "MAKER,MODEL 2,0,0"
    mock.read_error = RuntimeError("Connection was dropped by server.")
    with pytest.raises(InstrumentError, match="the line was lost"):
        meter.ask(":A?")
    with pytest.raises(InstrumentError, match="MODEL 2"):
        meter.send(":A 1")
    assert mock.sent == []
