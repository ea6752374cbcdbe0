"""The rack behind PyVISA: sessions, waiting on the bench's clock, status and error queue as IEEE 488.2 wants them."""

import gc
import threading
from types import SimpleNamespace

import pytest
import pyvisa
from pyvisa.constants import VI_TMO_INFINITE, EventMechanism, EventType
from pyvisa.errors import VisaIOError

from labneuro.clock import VirtualClock, WallClock
from labneuro.simulators.rack.instrument import LineLostError
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import N9030B
from labneuro.simulators.rack.visa import visa_library
from labneuro.simulators.rack.yokogawa import GS200

GPIB = "GPIB0::12::INSTR"


def rack(**instruments):
    return pyvisa.ResourceManager(visa_library({name.replace("_", "::"): made for name, made in instruments.items()}))


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def source(clock):
    return rack(GPIB0_12_INSTR=Keithley6221(clock)).open_resource(GPIB)


def errors(resource) -> list[int]:
    return [int(code) for code in resource.query("SYST:ERR:CODE:ALL?").split(",")]


@pytest.mark.parametrize(
    "name",
    [
        "GPIB::12",
        "GPIB0::12::INSTR",
        "USB0::0x0B21::0x0039::91T926460::INSTR",
        "TCPIP::192.168.1.5::hislip0::INSTR",
        "TCPIP::192.168.1.5::5025::SOCKET",
        "ASRL1::INSTR",
    ],
)
def test_any_resource_string_reaches_its_instrument(clock, name):
    manager = pyvisa.ResourceManager(visa_library({name: GS200(clock)}))
    assert len(manager.list_resources("?*")) == 1
    assert manager.open_resource(name).query("*IDN?").startswith("YOKOGAWA")


def test_what_is_not_in_the_rack_is_not_found(clock):
    with pytest.raises(VisaIOError, match="NFOUND"):
        rack(GPIB0_1_INSTR=GS200(clock)).open_resource("GPIB0::2::INSTR")


def test_two_names_of_one_resource_are_refused(clock):
    with pytest.raises(ValueError, match="two instruments"):
        visa_library({"GPIB::1": GS200(clock), "GPIB0::1::INSTR": GS200(clock)})


def test_closing_one_rack_leaves_the_other_alone(clock):
    one, two = rack(GPIB0_12_INSTR=GS200(clock)), rack(GPIB0_12_INSTR=GS200(clock))
    kept = two.open_resource(GPIB)
    one.open_resource(GPIB)
    one.close()
    assert kept.query("*OPC?") == "1\n"


def test_a_timeout_takes_virtual_time_only_and_says_what_was_wrong(source, clock):
    source.timeout = 3_600_000
    with pytest.raises(VisaIOError, match="TMO"):
        source.query("FOO?")
    assert clock.now() == pytest.approx(3600)
    assert errors(source) == [-113, -420]


def test_reading_unasked_is_unterminated_and_asking_over_an_answer_interrupts(source):
    source.write("*OPC?")
    assert source.query("SOUR:CURR?") == "+0.000000E+00\n"
    assert errors(source) == [-410]
    with pytest.raises(VisaIOError):
        source.read()
    assert errors(source) == [-420]


def test_each_session_has_its_own_answers_and_all_share_the_instrument(clock):
    manager = rack(GPIB0_12_INSTR=Keithley6221(clock))
    one, two = manager.open_resource(GPIB), manager.open_resource(GPIB)
    one.write("SOUR:CURR 1e-3;CURR?")
    assert two.query("SOUR:CURR?") == "+1.000000E-03\n"
    assert one.read() == "+1.000000E-03\n"
    assert errors(one) == [0]


def test_all_replies_of_a_message_are_one_response(source):
    assert source.query("*OPC?;SOUR:CURR?;CURR:COMP?;:OUTP?") == "1;+0.000000E+00;+1.000000E+01;0\n"


def test_a_command_error_discards_the_rest_and_an_execution_error_does_not(source):
    source.write("SOUR:CURR 1e-3;:SOUR:CURR 1;:SOUR:CURR:COMP 20")
    assert source.query("SOUR:CURR?;CURR:COMP?") == "+1.000000E-03;+2.000000E+01\n"
    source.write("SOUR:CURR 2e-3;:FOO;:SOUR:CURR:COMP 30")
    assert source.query("SOUR:CURR?;CURR:COMP?") == "+2.000000E-03;+2.000000E+01\n"
    assert errors(source) == [-222, -113]


def test_the_error_queue_keeps_the_oldest_and_ends_in_overflow(source):
    for _ in range(12):
        source.write("FOO")
    assert errors(source) == [-113] * 9 + [-350]
    assert source.query("SYST:ERR?") == '0,"No error"\n'


def test_the_status_byte_sums_up_what_is_enabled(source):
    assert source.query("*ESR?") == "128\n"
    source.write("*ESE 32;*SRE 32;:FOO")
    assert source.query("*STB?") == "100\n"
    source.write("*IDN?")
    assert source.read_stb() == 116
    source.read()
    assert source.query("*ESR?") == "32\n"
    source.write("*CLS")
    assert source.read_stb() == 0
    assert source.query("*ESE?;*SRE?") == "32;32\n"


def test_an_event_register_sums_up_transitions_that_are_enabled(clock):
    instrument = Keithley6221(clock)
    source = pyvisa.ResourceManager(visa_library({GPIB: instrument})).open_resource(GPIB)
    source.write("STAT:OPER:ENAB 16;PTR 16;NTR 0")
    instrument.status.registers["OPERation"].switch(16, on=True)
    instrument.status.registers["OPERation"].switch(16, on=False)
    assert source.read_stb() == 128
    assert source.query("STAT:OPER:COND?;EVEN?;:STAT:OPER?") == "0;16;0\n"


def test_operation_complete_waits_for_the_sweep_on_the_clock(clock):
    analyzer = rack(GPIB0_12_INSTR=N9030B(clock)).open_resource(GPIB)
    analyzer.write("INIT:CONT 0;:SWE:TIME 1.5;*ESR?")
    analyzer.read()
    analyzer.write("INIT;*OPC")
    assert analyzer.query("*ESR?") == "0\n"
    assert clock.now() == 0
    assert analyzer.query("*OPC?") == "1\n"
    assert clock.now() == pytest.approx(1.5)
    assert analyzer.query("*ESR?") == "1\n"


def test_a_sweep_longer_than_the_timeout_answers_late_and_a_clear_forgets_it(clock):
    analyzer = rack(GPIB0_12_INSTR=N9030B(clock)).open_resource(GPIB)
    analyzer.timeout = 1000
    analyzer.write("INIT:CONT 0;:SWE:TIME 2.5")
    with pytest.raises(VisaIOError, match="TMO"):
        analyzer.query("INIT;*OPC?")
    with pytest.raises(VisaIOError, match="TMO"):
        analyzer.read()
    assert analyzer.read() == "1\n"
    with pytest.raises(VisaIOError, match="TMO"):
        analyzer.query("INIT;*OPC?")
    analyzer.clear()
    assert analyzer.query("SWE:POIN?") == "1001\n"
    assert analyzer.query("SYST:ERR?") == '+0,"No error"\n'


def test_messages_behind_a_wait_are_executed_in_order_once_it_is_over(clock):
    analyzer = rack(GPIB0_12_INSTR=N9030B(clock)).open_resource(GPIB)
    analyzer.write("INIT:CONT 0;:SWE:TIME 1;:INIT;*WAI;:SWE:POIN 11")
    analyzer.write("SWE:POIN 21")
    assert analyzer.query("SWE:POIN?") == "21\n"
    assert clock.now() == pytest.approx(1)


def test_a_long_response_comes_in_pieces_and_a_termination_character_ends_one(clock):
    analyzer = rack(GPIB0_12_INSTR=N9030B(clock)).open_resource(GPIB)
    analyzer.chunk_size = 100
    assert len(analyzer.query("TRAC:DATA? TRACE1").split(",")) == 1001
    analyzer.read_termination = "\n"
    assert analyzer.query("SWE:POIN?") == "1001"
    analyzer.write("FORM REAL,64;FORM:BORD SWAP")
    pairs = analyzer.query_binary_values("READ:SAN1?", datatype="d")
    assert len(pairs) == 2002
    assert pairs[2] - pairs[0] == pytest.approx((26.5e9 - 10e6) / 1000)


def test_a_failing_chip_is_a_system_error_and_not_a_crash(clock, caplog):
    instrument = N9030B(clock)
    instrument.input = lambda sweep: 1 / 0
    analyzer = pyvisa.ResourceManager(visa_library({GPIB: instrument})).open_resource(GPIB)
    with pytest.raises(VisaIOError, match="TMO"):
        analyzer.query("TRAC:DATA? TRACE1")
    assert errors(analyzer) == [-310, -420]
    assert "ZeroDivisionError" in caplog.text


def test_threads_that_share_an_instrument_never_get_each_others_answers():
    manager = rack(GPIB0_12_INSTR=Keithley6221(WallClock()))
    wrong = []

    def ask(command, answer):
        resource = manager.open_resource(GPIB)
        wrong.extend(got for _ in range(300) if (got := resource.query(command)) != answer)

    pairs = [
        ("*OPC?", "1\n"),
        ("SOUR:CURR:COMP?", "+1.000000E+01\n"),
        ("*TST?", "0\n"),
        ("SOUR:CURR?;:OUTP?", "+0.000000E+00;0\n"),
    ]
    threads = [threading.Thread(target=ask, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class OnAPoorLine(GS200):
    """A source whose line is lost as long as `lost`."""

    lost = False

    def connect(self, session):
        if self.lost:
            raise LineLostError

    def handle(self, session, message):
        self.connect(session)
        super().handle(session, message)

    def proceed(self):
        self.connect(None)
        return super().proceed()


def test_a_lost_line_ends_the_session_and_a_new_one_is_had_when_it_is_back(clock):
    source = OnAPoorLine(clock)
    manager = rack(GPIB0_12_INSTR=source)
    resource = manager.open_resource(GPIB)
    resource.write("SOUR:FUNC CURR")
    source.lost = True
    with pytest.raises(VisaIOError, match="CONN_LOST"):
        resource.write("*RST")
    with pytest.raises(VisaIOError, match="NFOUND"):
        manager.open_resource(GPIB)
    source.lost = False
    for call in (
        lambda: resource.write("*RST"),
        resource.read,
        resource.clear,
        resource.read_stb,
        lambda: resource.timeout,
    ):
        with pytest.raises(VisaIOError, match="CONN_LOST"):
            call()
    resource.close()
    assert manager.open_resource(GPIB).query("SOUR:FUNC?") == "CURR\n"


def test_an_instrument_whose_line_is_lost_is_waited_for_as_long_as_the_client_says(clock):
    class BackAfterAWhile(OnAPoorLine):
        lost = property(lambda self: self.clock.now() < 3)

    manager = rack(GPIB0_12_INSTR=BackAfterAWhile(clock))
    with pytest.raises(VisaIOError, match="NFOUND"):
        manager.open_resource(GPIB, open_timeout=1000)
    assert clock.now() == pytest.approx(1)
    assert manager.open_resource(GPIB, open_timeout=5000).query("*OPC?") == "1\n"
    assert 3 <= clock.now() < 3.1  # it looks every 50 ms


def test_a_line_lost_while_an_answer_is_waited_for_ends_the_session(clock):
    source = OnAPoorLine(clock)
    resource = rack(GPIB0_12_INSTR=source).open_resource(GPIB)
    source.lost = True
    for _ in range(2):
        with pytest.raises(VisaIOError, match="CONN_LOST"):
            resource.read()


def test_a_rack_is_found_by_its_string_while_it_is_in_use(clock):
    library = visa_library({GPIB: GS200(clock)})
    name = f"{library.library_path}@labneuro"
    pyvisa.ResourceManager(library).open_resource(GPIB).write("SOUR:FUNC CURR")
    assert pyvisa.ResourceManager(name).open_resource(GPIB).query("SOUR:FUNC?") == "CURR\n"
    pyvisa.ResourceManager(library).close()
    del library
    gc.collect()
    with pytest.raises(FileNotFoundError, match="keep the VISA library"):
        pyvisa.ResourceManager(name)


def test_the_rack_of_a_bench_file_is_one_for_the_process(tmp_path, monkeypatch, clock):
    monkeypatch.setattr(
        "labneuro.simulators.rack.rack.load_rack",
        lambda path, clock: SimpleNamespace(library=visa_library({"GPIB::12": GS200(clock)})),
    )
    (tmp_path / "bench.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYVISA_LIBRARY", "bench.toml@labneuro")
    manager = pyvisa.ResourceManager()
    manager.open_resource(GPIB).write("SOUR:FUNC CURR")
    manager.close()
    del manager
    gc.collect()
    for name in ("", f"{tmp_path / 'bench.toml'}@labneuro"):
        assert pyvisa.ResourceManager(name).open_resource(GPIB).query("SOUR:FUNC?") == "CURR\n"


@pytest.mark.parametrize("name", ["@labneuro", "bnech.toml@labneuro"])
def test_a_string_that_names_no_rack_says_what_to_write(name):
    with pytest.raises(FileNotFoundError, match="bench file"):
        pyvisa.ResourceManager(name)


def test_a_service_request_comes_when_the_sweep_is_done_and_the_poll_ends_it(clock):
    analyzer = rack(GPIB0_12_INSTR=N9030B(clock)).open_resource(GPIB)
    analyzer.write("INIT:CONT 0;:SWE:TIME 1.5;*CLS;*ESE 1;*SRE 32")
    for sweeps in (1, 2):
        analyzer.write("*CLS;INIT;*OPC")
        assert analyzer.read_stb() & 64 == 0
        analyzer.enable_event(EventType.service_request, EventMechanism.queue)
        analyzer.wait_on_event(EventType.service_request, 10_000)
        assert clock.now() == pytest.approx(1.5 * sweeps)
        assert analyzer.query("*STB?") == "96\n"
        assert analyzer.read_stb() == 96
        assert analyzer.read_stb() == 32
        assert analyzer.query("*STB?") == "96\n"


def test_each_reason_requests_service_anew_also_within_one_message(source):
    source.write("*ESE 1;*SRE 32")
    for _ in range(3):
        source.write("*CLS;*OPC")
        source.wait_for_srq(1000)
        assert source.read_stb() == 32


def test_an_answer_requests_service_of_the_session_that_asked(clock):
    manager = rack(GPIB0_12_INSTR=GS200(clock))
    one, other = manager.open_resource(GPIB), manager.open_resource(GPIB)
    one.write("*SRE 16")
    for _ in range(2):
        one.write("*IDN?")
        assert (one.read_stb(), other.read_stb()) == (16 + 64, 0)
        one.read()


def test_a_reason_that_is_gone_requests_no_service(source):
    source.write("*CLS;*ESE 32;*SRE 32;FOO")
    assert source.query("*ESR?") == "32\n"
    assert source.read_stb() & 64 == 0


def test_no_service_request_is_a_timeout_on_the_clock(source, clock):
    with pytest.raises(VisaIOError, match="NENABLED"):
        source.wait_on_event(EventType.service_request, 100)
    source.enable_event(EventType.service_request, EventMechanism.queue)
    assert source.wait_on_event(EventType.service_request, 20_000, capture_timeout=True).timed_out
    assert clock.now() == pytest.approx(20)
    assert source.wait_on_event(EventType.service_request, VI_TMO_INFINITE, capture_timeout=True).timed_out


def test_a_service_request_that_another_thread_causes_is_seen():
    manager = rack(GPIB0_12_INSTR=Keithley6221(WallClock()))
    waiting, asking = manager.open_resource(GPIB), manager.open_resource(GPIB)
    waiting.write("*CLS;*ESE 32;*SRE 32")
    thread = threading.Timer(0.1, asking.write, ["FOO"])
    thread.start()
    waiting.wait_for_srq(20_000)
    thread.join()
    assert errors(asking) == [-113]
