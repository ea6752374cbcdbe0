"""Messages of all kinds, legal and not: an instrument survives every one, answers the next, and never raises."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labneuro.clock import VirtualClock
from labneuro.simulators.rack.generators import E8257D, SGS100A
from labneuro.simulators.rack.instrument import Session
from labneuro.simulators.rack.keithley_2182a import Keithley2182A
from labneuro.simulators.rack.keithley_2400 import Keithley2400
from labneuro.simulators.rack.keithley_2450 import Keithley2450
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import E4408B, N9030B
from labneuro.simulators.rack.rohde_schwarz_analyzers import FSW
from labneuro.simulators.rack.yokogawa import GS200

MODELS = [GS200, Keithley6221, Keithley2400, Keithley2450, Keithley2182A, E8257D, SGS100A, N9030B, E4408B, FSW]


def words(model) -> list[str]:
    found = set()

    def walk(node):
        for word, child in node.children.items():
            found.add(word)
            walk(child)

    walk(model.commands._root)
    return sorted(found)


WORDS = {model: words(model) for model in MODELS}

parameters = st.one_of(
    st.floats().map(lambda x: f"{x:g}"),
    st.integers(-300, 300).map(str),
    st.sampled_from(
        ["ON", "OFF", "MIN", "MAX", "DEF", "INF", "VOLT", "CURR", "ASC", "REAL", "", "1 GHz", "-3 dBm", "2mA"]
    ),
    st.text(st.characters(codec="latin-1"), max_size=6).map(lambda s: "'" + s.replace("'", "''") + "'"),
    st.text(st.characters(codec="latin-1"), max_size=6).map(lambda s: f"#{len(str(len(s)))}{len(s)}{s}"),
    st.lists(st.integers(0, 9), max_size=3).map(lambda n: f"(@{','.join(map(str, n))})"),
    st.text(st.characters(codec="latin-1"), max_size=8),
)


@st.composite
def unit(draw, model):
    header = ":".join(draw(st.lists(st.sampled_from(WORDS[model]), min_size=1, max_size=4)))
    spelled = draw(st.sampled_from([header, header.lower(), ":" + header, header + "1", header + "7", header.title()]))
    query = draw(st.sampled_from(["", "?"]))
    given_ = ",".join(draw(st.lists(parameters, max_size=4)))
    return f"{spelled}{query} {given_}" if given_ else spelled + query


@st.composite
def legal_header(draw, model):
    """Walk down the tree, so that most of these are commands."""
    node, path = model.commands._root, []
    while node.children and (not path or (node.command is node.query is None) or draw(st.booleans())):
        word = draw(st.sampled_from(sorted(node.children)))
        path.append(word)
        node = node.children[word]
    given_ = ",".join(draw(st.lists(parameters, max_size=2)))
    return ":".join(path) + draw(st.sampled_from(["", "?"])) + (f" {given_}" if given_ else "")


@st.composite
def conversation(draw):
    model = draw(st.sampled_from(MODELS))
    one = st.one_of(legal_header(model), unit(model), st.text(st.characters(codec="latin-1"), max_size=20))
    message = st.lists(one, min_size=1, max_size=4).map(";".join)
    return model, draw(
        st.lists(st.one_of(message.map(lambda m: m.encode("latin-1")), st.binary(max_size=30)), max_size=20)
    )


def survives(model, messages) -> None:
    instrument = model(VirtualClock())
    session = Session()
    for message in messages:
        instrument.handle(session, message)
        while math.isfinite(ready := instrument.proceed()):
            instrument.clock.sleep(max(0.0, ready - instrument.clock.now()))
        assert session.output == b"" or session.output.endswith(b"\n")
        session.output = b""
        assert -310 not in {code for code, _ in instrument.status.errors}, message
    instrument.handle(session, b"*CLS;*IDN?")
    assert session.output.decode() == model.identity + "\n"
    assert not instrument.status.errors


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(conversation())
def test_an_instrument_survives_two_thousand_messages(case):
    survives(*case)


@pytest.mark.nightly
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(conversation())
def test_an_instrument_survives_a_hundred_thousand_messages(case):
    survives(*case)
