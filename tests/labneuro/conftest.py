import os
from pathlib import Path

import pytest

from labneuro.datasets.vowels import HILLENBRAND_FILE, Vowels, load


@pytest.fixture(scope="session")
def hillenbrand() -> Vowels:
    """The data of the vowel experiment, which do not ship; they are never downloaded for a test."""
    folder = os.environ.get("LABNEURO_DATA")
    if not folder or not (Path(folder) / HILLENBRAND_FILE.path).is_file():
        pytest.skip(f"LABNEURO_DATA names no folder with {HILLENBRAND_FILE.path}")
    return load("hillenbrand")


@pytest.fixture(scope="session")
def peterson_barney() -> Vowels:
    return load("peterson-barney")
