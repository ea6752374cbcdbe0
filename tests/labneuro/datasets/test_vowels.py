import csv
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labneuro.datasets import vowels
from labneuro.datasets.fetch import DatasetError
from labneuro.datasets.vowels import WORDS, Vowels, load, read_hillenbrand, split_by_speaker

CODES = ("ae", "ah", "aw", "eh", "er", "ei", "ih", "iy", "oa", "oo", "uh", "uw")
COUNTS = {"m": 45, "w": 48, "b": 27, "g": 19}
SPEAKERS = [f"{kind}{n:02d}" for kind, count in COUNTS.items() for n in range(1, count + 1)]
HEAD = "\r\n".join(["(c) somebody", *["about the columns"] * 27, "", "  ".join(map(str, range(1, 17)))])


def invented_file() -> bytes:
    """A file like vowdata.dat; the hod of w01 is not measured at 20 %, that of w02 not in the steady state."""
    rng = np.random.default_rng(0)
    rows = [HEAD]
    for code in CODES:
        for speaker in SPEAKERS:
            numbers = rng.integers(100, 4000, 15)
            if (speaker, code) == ("w01", "ah"):
                numbers[6:9] = 0
            if (speaker, code) == ("w02", "ah"):
                numbers[4] = 0
            rows.append(f"{speaker}{code} " + " ".join(map(str, numbers)) + " ")
    return ("\r\n".join(rows) + "\r\n").encode()


INVENTED = invented_file()


@pytest.fixture
def put_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Path]:
    """Makes the invented file the published one, and `put_file(content)` puts a copy where LABNEURO_DATA says."""
    path = tmp_path / "hillenbrand1995" / "vowdata.dat"
    path.parent.mkdir()
    monkeypatch.setenv("LABNEURO_DATA", str(tmp_path))
    published = replace(vowels.HILLENBRAND_FILE, sha256=hashlib.sha256(INVENTED).hexdigest())
    monkeypatch.setattr(vowels, "HILLENBRAND_FILE", published)

    def put(content: bytes) -> Path:
        path.write_bytes(content)
        return path

    return put


def mean_formants(data: Vowels, word: str, names: tuple[str, ...]) -> np.ndarray:
    columns = [data.feature_names.index(name) for name in names]
    return data.features[data.labels == data.vowels.index(word)][:, columns].mean(axis=0)


def test_the_table_is_that_of_praat() -> None:
    praat = pytest.importorskip("parselmouth.praat", reason="praat-parselmouth (GPL) is not installed")
    table: str = praat.call(praat.call("Create formant table (Peterson & Barney 1952)"), "List", True)
    # Praat's codes, by its own phonetic signs: \as is the vowel of hod, \vt that of hud.
    words = {"iy": "heed", "ih": "hid", "eh": "head", "ae": "had", "ah": "hud", "aa": "hod", "ao": "hawed"}
    words |= {"uh": "hood", "uw": "who'd", "er": "heard"}
    expected = [
        (row["Type"], row["Sex"], row["Speaker"], words[row["Vowel"]], row["F0"], row["F1"], row["F2"], row["F3"])
        for row in csv.DictReader(StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    ]
    packaged = resources.files("labneuro.datasets").joinpath("peterson_barney_1952.csv").read_text("utf-8")
    ours = [
        (row["type"], row["sex"], row["speaker"], row["word"], row["F0"], row["F1"], row["F2"], row["F3"])
        for row in csv.DictReader(line for line in packaged.splitlines() if not line.startswith("#"))
    ]
    assert len(ours) == 1520
    assert ours == expected


def test_peterson_and_barney_recorded_28_women_twice(peterson_barney: Vowels) -> None:
    said = Counter(zip(peterson_barney.speakers.tolist(), peterson_barney.labels.tolist(), strict=True))
    assert peterson_barney.features.shape == (392, 4)
    assert peterson_barney.feature_names == ("F0", "F1", "F2", "F3")
    assert len({speaker for speaker, _ in said}) == 28
    assert set(said.values()) == {2}
    assert len(said) == 28 * 7


@pytest.mark.parametrize(
    ("word", "published"),
    [
        ("heed", (310, 2790, 3310)),
        ("hid", (430, 2480, 3070)),
        ("had", (860, 2050, 2850)),
        ("hod", (850, 1220, 2810)),
        ("hawed", (590, 920, 2710)),
        ("who'd", (370, 950, 2670)),
        ("heard", (500, 1640, 1960)),
    ],
)
def test_words_have_the_formants_that_peterson_and_barney_published(
    peterson_barney: Vowels, word: str, published: tuple[int, ...]
) -> None:
    """Their table II, women, is rounded to 10 Hz, 3 % of the lowest formant; hod and hud differ by 12 and 15 %."""
    assert mean_formants(peterson_barney, word, ("F1", "F2", "F3")) == pytest.approx(published, rel=0.03)


@pytest.mark.parametrize(
    ("word", "published"),
    [
        ("heed", (437, 2761, 3372)),
        ("hid", (483, 2365, 3053)),
        ("had", (669, 2349, 2972)),
        ("hod", (936, 1551, 2815)),
        ("hawed", (781, 1136, 2824)),
        ("who'd", (459, 1105, 2735)),
        ("heard", (523, 1588, 1929)),
    ],
)
def test_words_have_the_formants_that_hillenbrand_published(
    hillenbrand: Vowels, word: str, published: tuple[int, ...]
) -> None:
    """Their table V has the means of 48 women, less tokens that were hard to measure; 37 of them come within 5 %."""
    steady = ("F1 steady", "F2 steady", "F3 steady")
    assert mean_formants(hillenbrand, word, steady) == pytest.approx(published, rel=0.05)


def test_of_hillenbrands_women_37_are_measured_for_the_seven_vowels(hillenbrand: Vowels) -> None:
    assert hillenbrand.features.shape == (259, 12)
    assert len(np.unique(hillenbrand.speakers)) == 37
    assert all(speaker.startswith("w") for speaker in hillenbrand.speakers)
    assert (np.bincount(hillenbrand.labels) == 37).all()
    assert (hillenbrand.features > 0).all()
    assert hillenbrand.feature_names[:4] == ("F1 steady", "F2 steady", "F3 steady", "F1 20 %")


def test_an_instant_that_was_not_measured_is_filled_and_a_speaker_without_steady_state_left_out(
    put_file: Callable[[bytes], Path],
) -> None:
    put_file(INVENTED)
    data = load("hillenbrand")
    assert np.unique(data.speakers).tolist() == ["w01", *(f"w{n:02d}" for n in range(3, 49))]
    hod = data.features[(data.speakers == "w01") & (data.labels == WORDS.index("hod"))][0]
    token = read_hillenbrand(INVENTED, "vowdata.dat")["w01", "hod"]
    assert hod.tolist() == [*token[2:5], *token[2:5], *token[9:15]]


@given(cut=st.integers(0, len(INVENTED) - 1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_is_cut_off_anywhere_is_refused(put_file: Callable[[bytes], Path], cut: int) -> None:
    path = put_file(INVENTED[:cut])
    with pytest.raises(DatasetError) as refused:
        load("hillenbrand")
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_single_changed_digit_is_refused(put_file: Callable[[bytes], Path]) -> None:
    last = INVENTED.rstrip()
    put_file(last[:-1] + (b"1" if last[-1:] != b"1" else b"2") + INVENTED[len(last) :])
    with pytest.raises(DatasetError, match="differs from the published file"):
        load("hillenbrand")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"w05ae ", b"w05ae 1 ", "line {line}: 17 columns, expected 16"),
        (b"w05ae ", b"w05ae x", "line {line}: 'x.*' in the row of w05ae, expected whole numbers"),
        (b"w05ae ", b"w05zz ", "line {line}: 'w05zz' is no token"),
        (b"w05ae ", b"w04ae ", "line {line}: w04ae is there twice"),
        (b" 14  15  16", b"", "no row numbers the columns"),
    ],
)
def test_errors_name_file_line_and_what_was_expected(old: bytes, new: bytes, message: str) -> None:
    line = INVENTED[: INVENTED.index(old)].count(b"\n") + 1
    with pytest.raises(DatasetError, match=r"^vowdata\.dat, .*" + message.format(line=line)):
        read_hillenbrand(INVENTED.replace(old, new), "vowdata.dat")


def test_a_row_that_is_missing_is_noticed() -> None:
    start = INVENTED.index(b"w05ae ")
    end = INVENTED.index(b"\n", start) + 1
    with pytest.raises(DatasetError, match="ends after 1667 tokens by 139 speakers, expected 12 each by 139"):
        read_hillenbrand(INVENTED[:start] + INVENTED[end:], "vowdata.dat")


@given(fraction=st.floats(0.001, 0.999), seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_speaker_is_trained_on_and_held_out(peterson_barney: Vowels, fraction: float, seed: int) -> None:
    train, held_out = split_by_speaker(peterson_barney, fraction, seed)
    trained_on, tested = set(peterson_barney.speakers[train]), set(peterson_barney.speakers[held_out])
    assert (train ^ held_out).all()
    assert not trained_on & tested
    assert len(tested) == min(max(round(28 * fraction), 1), 27)


def test_a_split_is_drawn_from_its_seed(peterson_barney: Vowels) -> None:
    first, again, other = (split_by_speaker(peterson_barney, 0.2, seed)[1] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_split_without_one_side_is_refused(peterson_barney: Vowels, fraction: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        split_by_speaker(peterson_barney, fraction, 0)


def test_a_single_speaker_is_not_split(peterson_barney: Vowels) -> None:
    one = peterson_barney.speakers == "40"
    alone = replace(
        peterson_barney,
        features=peterson_barney.features[one],
        labels=peterson_barney.labels[one],
        speakers=peterson_barney.speakers[one],
    )
    with pytest.raises(ValueError, match="1 speaker can't be split"):
        split_by_speaker(alone, 0.5, 0)
