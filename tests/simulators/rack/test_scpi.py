"""The grammar of SCPI-99 and IEEE 488.2: what a message means, and with which error it is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labneuro.simulators.rack.parameters import Bytes, Number, Switch, Text, Word, channels
from labneuro.simulators.rack.scpi import Commands, ScpiError

HEADERS = (
    "[:SENSe]:VOLTage[:DC]:RANGe[:UPPer]",
    "[:SENSe]:VOLTage[:DC]:NPLCycles",
    "[:SOURce<1-2>]:PULSe:WIDTh<1-3>",
    ":TRACe:DATA",
    ":SOURce<1-2>:FUNCtion:ARB1",
    ":CALCulate2:FORMat",
    "*WAI",
)


@pytest.fixture
def commands() -> Commands:
    tree = Commands()
    for header in HEADERS:
        tree.add(header, named(header))
        tree.add(header + "?", named(header + "?"), indefinite=False)
    tree.add("*IDN?", named("*IDN?"), indefinite=True)
    return tree


def named(header):
    def handler(instrument, suffixes, parameters):
        return header

    return handler


def meaning(commands: Commands, message: str):
    calls, error = commands.compile(message.encode("latin-1"))
    return [(handler(None, (), ()), suffixes, parameters) for handler, suffixes, parameters in calls], error


@pytest.mark.parametrize(
    "header",
    ["SENS:VOLT:RANG", ":sense:voltage:dc:range:upper", "VOLT:RANG", "volt:dc:rang:upp", "Sens1:Volt1:Rang1"],
)
def test_short_long_and_left_out_words_name_the_same_command(commands, header):
    assert meaning(commands, f"{header} 2\r\n") == ([(HEADERS[0], (), ("2",))], None)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("VOLTA:RANG 1", -113),
        ("VOLT:RANGE:UPPE 1", -113),
        ("VOLT", -113),
        ("VOLT::RANG 1", -113),
        ("THIRTEENCHARS 1", -112),
        ("PULS:WIDT4 1", -114),
        ("VOLT:RANG2 1", -114),
        ("VOLT:RANG99999 1", -114),
        ("SOUR0:PULS:WIDT 1", -114),
        ("VOLT:RANG?1", -111),
        ("VOLT:RANG 'x", -151),
        ("VOLT:RANG (@1", -171),
        ("TRAC:DATA #15ab", -161),
        ("TRAC:DATA #9", -161),
        ("TRAC:DATA 'a' 'b'", -103),
        ("\xffVOLT", -101),
        ("1VOLT", -102),
        ("*IDN?;*WAI;VOLT:RANG?", -440),
    ],
)
def test_what_cannot_be_read_has_the_code_of_the_standard(commands, message, code):
    error = meaning(commands, message)[1]
    assert error is not None
    assert error.code == code


def test_suffixes_stand_on_any_word_and_are_one_where_left_out(commands):
    assert meaning(commands, "SOUR2:PULS:WIDT3 1;:PULS:WIDT 2;:PULS:WIDT2 3")[0] == [
        (HEADERS[2], (2, 3), ("1",)),
        (HEADERS[2], (1, 1), ("2",)),
        (HEADERS[2], (1, 2), ("3",)),
    ]


def test_digits_that_belong_to_a_word_are_no_suffix(commands):
    calls, error = meaning(commands, "SOUR2:FUNC:ARB1 x;:CALC2:FORM y;:CALCULATE2:FORMAT z")
    assert error is None
    assert [(name, suffixes) for name, suffixes, _ in calls] == [(HEADERS[4], (2,)), (HEADERS[5], ()), (HEADERS[5], ())]


def test_the_path_goes_on_after_a_semicolon_and_common_commands_leave_it(commands):
    calls, error = meaning(commands, "SENS:VOLT:RANG 2;*WAI;NPLC 0.1;:*WAI;NPLC?; :CALC2:FORM x;")
    assert error is None
    assert [name for name, _, _ in calls] == [
        HEADERS[0],
        "*WAI",
        HEADERS[1],
        "*WAI",
        HEADERS[1] + "?",
        HEADERS[5],
    ]


def test_a_header_not_found_below_the_path_is_looked_for_at_the_root_unless_strict(commands):
    message = "VOLT:DC:RANG 2;TRAC:DATA 1"
    assert meaning(commands, message)[1] is None
    strict = Commands(strict_path=True)
    for header in HEADERS:
        strict.add(header, named(header))
    calls, error = meaning(strict, message)
    assert len(calls) == 1
    assert error.code == -113


def test_strings_blocks_and_lists_hide_what_would_end_them(commands):
    message = "TRAC:DATA 'a;,''b', \"c\"\"d\",#15,;\n'# , (@1,3:5), 2.4 GHz,;*WAI"
    calls, error = meaning(commands, message)
    assert error is None
    assert calls[0][2] == ("'a;,''b'", '"c""d"', "#0,;\n'#", "(@1,3:5)", "2.4 GHz", "")
    assert calls[1][0] == "*WAI"
    assert meaning(commands, "TRAC:DATA #0;,'\x00\n")[0][0][2] == ("#0;,'\x00",)


def test_an_error_keeps_what_stands_before_it(commands):
    calls, error = meaning(commands, "VOLT:RANG 2;FOO 1;:VOLT:NPLC 1")
    assert [name for name, _, _ in calls] == [HEADERS[0]]
    assert error.code == -113


def test_two_commands_of_one_spelling_are_refused_when_the_table_is_made(commands):
    for header in ("[:SENSe]:VOLTage:RANGe", ":VOLTametry:X", ":CALCulate2<1-2>:FORMat:MORE"):
        with pytest.raises(ValueError, match="header"):
            commands.add(header, named("x"))


class Reader:
    number = staticmethod(repr)


def code(kind, text: str) -> int:
    with pytest.raises(ScpiError) as caught:
        kind.read(text, Reader())
    return caught.value.code


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("2.4 GHz", "HZ", 2.4e9),
        ("1MHZ", "HZ", 1e6),
        ("1 MAHZ", "HZ", 1e6),
        ("1 mA", "A", 1e-3),
        ("1 MA", "A", 1e-3),
        ("3MOHM", "OHM", 3e6),
        ("2.0vp", "VP", 2.0),
        ("-10 dBm", "DBM", -10),
        ("1 mW", "DBM", 0.0),
        ("180 DEG", "RAD", 3.141592653589793),
        ("5 us", "S", 5e-6),
        ("1 e -3", "", 1e-3),
        ("#H1F", "", 31),
        ("#B101", "", 5),
        (".5", "", 0.5),
        ("+1.E+2", "", 100),
        ("MAX", "V", 1e12),
        ("minimum", "V", -1e12),
        ("DEF", "V", 7.0),
    ],
)
def test_numbers_carry_units_prefixes_and_words(text, unit, value):
    assert Number(7.0, -1e12, 1e12, unit).read(text, Reader()) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("11", -222),
        ("-11", -222),
        ("1 Hz", -131),
        ("1 XV", -131),
        ("1e400", -123),
        ("1" * 300, -124),
        ("nan", -148),
        ("INF", -148),
        ("1_0", -121),
        ("--1", -121),
        ("'1'", -158),
        ("(@1)", -178),
        ("", -109),
        ("UP", -148),
        ("#0x", -168),
        ("#Hx", -121),
    ],
)
def test_what_is_no_number_here_is_refused_with_its_code(text, error):
    assert code(Number(0, -10, 10, "V"), text) == error


def test_a_unit_is_refused_where_there_is_none():
    assert code(Number(0, -10, 10), "1 V") == -138


def test_numbers_are_coerced_as_the_instrument_would():
    assert Number(0, 0, 10, whole=True).read("2.5", Reader()) == 3
    assert Number(0, -10, 10, steps=(1, 2, 5)).read("-1.5", Reader()) == 2
    assert Number(0, 0, 10, resolution=0.25).read("1.1", Reader()) == 1.0
    assert Number(0, 0, 10, infinite=True).read("9.9E37", Reader()) == float("inf")
    assert code(Number(0, 0, 10, steps=(1, 2, 5)), "6") == -222


def test_switches_words_strings_blocks_and_channel_lists():
    assert [Switch().read(text, None) for text in ("ON", "off", "0.4", "0.5", "-3")] == [True, False, False, True, True]
    assert code(Switch(), "MAYBE") == -141
    word = Word("SINusoid", "ARB1", "VOLT:DC")
    assert [word.read(text, None) for text in ("sin", "SINUSOID", "arb1")] == ["SIN", "SIN", "ARB1"]
    assert [code(word, text) for text in ("SINU", "", "7")] == [-141, -109, -128]
    assert Text().read("'it''s'", None) == "it's"
    assert code(Text(), "bare") == -151
    assert Bytes().read("#0\x00\xff", None) == b"\x00\xff"
    assert Bytes().write(b"abc", None) == "#13abc"
    assert channels("(@1, 3:5)") == [1, 3, 4, 5]
    with pytest.raises(ScpiError):
        channels("(@)")


@given(st.floats(-1e12, 1e12))
def test_a_number_survives_being_written_and_read(value):
    assert Number(0, -1e12, 1e12).read(repr(value), Reader()) == value
