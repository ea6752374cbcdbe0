"""Spoken American English vowels by their formants: Peterson & Barney (1952) and Hillenbrand et al. (1995).

The two sets name vowels by codes that don't agree ("ah" is *hud* in one and *hod* in the other), so both are
read into the words that were spoken. The seven words are those of the oscillator experiment, as far as it is
known: the women of Hillenbrand's set whose steady formants are measured for all seven number 37, and Romera
et al., Nature 563, 230 (2018), used 12 formants of 7 vowels by 37 women.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labneuro.datasets.fetch import DatasetError, PublishedFile, check, fetch
from labneuro.units import FloatArray

Source = Literal["peterson-barney", "hillenbrand"]
Speakers = Literal["women", "men", "children"]

WORDS = ("had", "hod", "hawed", "heard", "hid", "heed", "who'd")

HILLENBRAND_FILE = PublishedFile(
    path="hillenbrand1995/vowdata.dat",
    url=(
        "https://raw.githubusercontent.com/kleinschmidt/hdp-bayes-vowels/"
        "0787a1ab4007217f0ad2a756e0d1c4385f676fd2/hillenbrand-data/vowdata.dat"
    ),
    sha256="05a4a69e2c6b0f444077245b1427d12bc86f8d7a32ae7a4b63f7e06e5712e4b1",
    otherwise="take the vowels that ship with the package (--data peterson-barney)",
)

_HILLENBRAND_WORDS: Mapping[str, str] = {
    "ae": "had", "ah": "hod", "aw": "hawed", "eh": "head", "er": "heard", "ei": "haid",
    "ih": "hid", "iy": "heed", "oa": "boat", "oo": "hood", "uh": "hud", "uw": "who'd",
}  # fmt: skip
_HILLENBRAND_COLUMNS = [str(column) for column in range(1, 17)]
_HILLENBRAND_SPEAKERS = 139
_HILLENBRAND_NAME = re.compile(rf"[mwbg]\d\d(?:{'|'.join(_HILLENBRAND_WORDS)})")
_STEADY = slice(2, 5)  # F1 to F3 among a token's 15 numbers: duration, f0, F1-F4, F1-F3 at 20, 50 and 80 %
_COURSE = slice(6, 15)
_INSTANTS = ("steady", "20 %", "50 %", "80 %")
_PETERSON_BARNEY_TYPES: Mapping[Speakers, str] = {"women": "w", "men": "m", "children": "c"}
_HILLENBRAND_TYPES: Mapping[Speakers, str] = {"women": "w", "men": "m", "children": "bg"}


@dataclass(frozen=True, eq=False)
class Vowels:
    """Spoken vowels, one token a row.

    features: (tokens, features), Hz. feature_names: their names. labels: (tokens,), index into `vowels`.
    vowels: the words that were said. speakers: (tokens,), who said it.
    """

    features: FloatArray
    feature_names: tuple[str, ...]
    labels: NDArray[np.intp]
    vowels: tuple[str, ...]
    speakers: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)


def load(source: Source, *, speakers: Speakers = "women") -> Vowels:
    """Return the seven vowels, in the order of `WORDS`, as said by `speakers`.

    "peterson-barney": F0 to F3 of every word said twice; 28 women make 392 tokens. "hillenbrand": F1 to F3 in
    the steady state and at 20, 50 and 80 % of the vowel, of the speakers whose steady state is measured for
    all seven words; 37 women make 259 tokens. What could not be measured at one of the three instants is
    filled with the steady state. Raises DatasetError if the file of "hillenbrand" can't be had or is damaged.
    """
    if source == "peterson-barney":
        return _peterson_barney(_PETERSON_BARNEY_TYPES[speakers])
    return _hillenbrand(_HILLENBRAND_TYPES[speakers])


def split_by_speaker(
    vowels: Vowels, held_out_fraction: float, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which tokens are for training and which are held out, (tokens,) each: no speaker is in both.

    The held-out speakers are drawn at random from `seed`; their number is the nearest to `held_out_fraction`
    of all, but at least one speaker stays on either side. Raises ValueError unless 0 < held_out_fraction < 1.
    """
    if not 0 < held_out_fraction < 1:
        raise ValueError(f"held-out fraction {held_out_fraction:g} must lie between 0 and 1, such as 0.2")
    speakers = np.unique(vowels.speakers)
    if len(speakers) < 2:
        raise ValueError(f"{len(speakers)} speaker can't be split into trained and held out")
    number = min(max(round(held_out_fraction * len(speakers)), 1), len(speakers) - 1)
    drawn = np.random.default_rng(seed).permutation(speakers)[:number]
    held_out = np.isin(vowels.speakers, drawn)
    return ~held_out, held_out


def _peterson_barney(kind: str) -> Vowels:
    names = ("F0", "F1", "F2", "F3")
    table = resources.files("labneuro.datasets").joinpath("peterson_barney_1952.csv").read_text("utf-8")
    lines = (line for line in table.splitlines() if not line.startswith("#"))
    rows = [row for row in csv.DictReader(lines) if row["type"] == kind and row["word"] in WORDS]
    return Vowels(
        features=np.array([[float(row[name]) for name in names] for row in rows]),
        feature_names=names,
        labels=np.array([WORDS.index(row["word"]) for row in rows], dtype=np.intp),
        vowels=WORDS,
        speakers=np.array([row["speaker"] for row in rows]),
    )


def _hillenbrand(kinds: str) -> Vowels:
    path = fetch(HILLENBRAND_FILE)
    try:
        content = path.read_bytes()
    except OSError as error:
        way_out = HILLENBRAND_FILE.otherwise
        raise DatasetError(f"{path} can't be read ({error.strerror}): make it readable, or {way_out}") from error
    tokens = read_hillenbrand(content, str(path))
    check(HILLENBRAND_FILE, path, content)

    features: list[FloatArray] = []
    speakers: list[str] = []
    for speaker in sorted({name for name, _ in tokens if name[0] in kinds}):
        said = [tokens[speaker, word] for word in WORDS]
        if all((token[_STEADY] > 0).all() for token in said):
            features.extend(_course(token) for token in said)
            speakers.extend([speaker] * len(WORDS))
    return Vowels(
        features=np.array(features),
        feature_names=tuple(f"F{formant} {instant}" for instant in _INSTANTS for formant in (1, 2, 3)),
        labels=np.tile(np.arange(len(WORDS)), len(speakers) // len(WORDS)),
        vowels=WORDS,
        speakers=np.array(speakers),
    )


def _course(token: FloatArray) -> FloatArray:
    """Return F1 to F3 in the steady state and at three instants, (12,), where they are 0 the steady state."""
    steady, course = token[_STEADY], token[_COURSE]
    return np.concatenate([steady, np.where(course > 0, course, np.tile(steady, 3))])


def read_hillenbrand(content: bytes, file: str) -> dict[tuple[str, str], FloatArray]:
    """Return the numbers of each token in Hillenbrand's `vowdata.dat` by speaker ("w01") and word ("had").

    A token is (15,): duration in ms, f0, F1 to F4 in the steady state, F1 to F3 at 20, 50 and 80 % of the
    vowel, in Hz; 0 was not measurable. `file` is what errors call it. Raises DatasetError at the first line
    that is not as the head of the file describes it, and if any of the 139 speakers' 12 words is missing.
    """
    lines = content.decode("latin-1").splitlines()
    head = next((number for number, line in enumerate(lines, 1) if line.split() == _HILLENBRAND_COLUMNS), None)
    if head is None:
        raise DatasetError(
            f"{file}, line {len(lines)}: no row numbers the columns 1 to 16, expected after the description"
        )
    tokens: dict[tuple[str, str], FloatArray] = {}
    for number, line in enumerate(lines[head:], head + 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        name, *fields = line.split()
        if not _HILLENBRAND_NAME.fullmatch(name):
            raise DatasetError(f"{where}: {name!r} is no token: expected speaker and vowel, such as w01ae")
        if len(fields) + 1 != len(_HILLENBRAND_COLUMNS):
            raise DatasetError(f"{where}: {len(fields) + 1} columns, expected {len(_HILLENBRAND_COLUMNS)}")
        wrong = [field for field in fields if not field.isdecimal()]
        if wrong:
            raise DatasetError(f"{where}: {wrong[0]!r} in the row of {name}, expected whole numbers (ms, Hz)")
        token = name[:3], _HILLENBRAND_WORDS[name[3:]]
        if token in tokens:
            raise DatasetError(f"{where}: {name} is there twice, expected every token once")
        tokens[token] = np.array(fields, dtype=np.float64)
    speakers = len({speaker for speaker, _ in tokens})
    if speakers != _HILLENBRAND_SPEAKERS or len(tokens) != speakers * len(_HILLENBRAND_WORDS):
        raise DatasetError(
            f"{file}, line {len(lines)}: the file ends after {len(tokens)} tokens by {speakers} speakers, "
            f"expected {len(_HILLENBRAND_WORDS)} each by {_HILLENBRAND_SPEAKERS}: it is cut off"
        )
    return tokens
