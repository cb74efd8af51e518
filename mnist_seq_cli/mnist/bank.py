"""Owns banks: glyphs by digit, of the bundled MNIST or of two IDX files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from hashlib import blake2b, sha256
from math import gcd
from os import PathLike, fspath
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs.file_array import blocks_of
from mnist_seq_cli.errors import OutputError, RequestError
from mnist_seq_cli.mnist import custom
from mnist_seq_cli.mnist.custom import read_pair, read_writers
from mnist_seq_cli.recipe.parts.appearance import PAPERS
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES, GlyphFacts

TRAIN_SIZE, TEST_SIZE = 60_000, 10_000
_FEW = 512
"""Glyphs of which to find equal ones would take longer than to look at them again."""

_UNKNOWN = -1

_WRONG = (947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729)
MISLABELED = frozenset(TRAIN_SIZE + number for number in _WRONG)
"""Ids of the glyphs of MNIST's test file whose labels are known to be wrong (Northcutt, Athalye and Mueller, "Pervasive
label errors in test sets destabilize machine learning benchmarks", NeurIPS 2021)."""


class BundledFile(NamedTuple):
    """One of the bundled files: its name, its size in bytes, and the SHA-256 that it was published with."""

    name: str
    size: int
    sha256: str


BUNDLED_FILES = (
    BundledFile(
        "train-images-idx3-ubyte", 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    BundledFile("train-labels-idx1-ubyte", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    BundledFile(
        "t10k-images-idx3-ubyte", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    BundledFile("t10k-labels-idx1-ubyte", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)
"""The four files of MNIST."""

WRITERS_FILE = BundledFile(
    "writers-idx1-short.gz", 65_195, "111f6285faea61d11f9ce8d6af4f60030397047e85ef693812c7b0d67d9eddac"
)
"""The number of the writer of each glyph, by id."""

CLASSES_FILE = BundledFile(
    "multidigitmnist-classes.txt", 1_102, "047cc66c26bf0512be3d48c4f4147ba898c3fd52771cf6ce2e5775796a73bcc8"
)
"""The split of each class of MultiDigitMNIST."""

NET_FILE = BundledFile("reader-net.npz", 545_252, "26bee7ed047c0e8e9f43c601d33b91fe179f50d588f825498120356c7b277291")
"""The weights of the net that reads strips."""

STUDENTS = 2_100
"""The first number of a student; below are those of census employees (the partitions of NIST's Special Database 19)."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where glyphs come from: `name` for the bundled MNIST, or two IDX files of a custom source.

    An npz file is both, and `name` the part of it, "train" or "test". `background` is a picture that strips lie on, if
    they do; `writers` tells who wrote each digit of a custom source. Its images may be `transposed`.
    """

    name: str = "train"
    images: Path | None = None
    labels: Path | None = None
    background: Path | None = None
    writers: Path | None = None
    transposed: bool = False

    def __post_init__(self) -> None:
        if (self.images is None) != (self.labels is None):
            raise RequestError("a custom source takes both an image file and a label file")
        if self.images is None and self.name not in BUNDLED_SOURCES:
            raise RequestError(
                f"no bundled source is called {self.name!r}",
                hint=f"take {', '.join(BUNDLED_SOURCES)}, or give an IDX image file, a folder of them or an npz file",
            )


class Bank:
    """Glyphs by digit. Holds small index arrays beside the images, which are mapped where they are the bundled ones.

    `height` and `width` are those of a glyph in px; `labels` uint8 (n,); `counts` int64 (10,), the glyphs of each
    digit; `identity` names the content in a recipe: "train", "test", "all" or "sha256:…". Glyph ids are
    `first_id` to `first_id` + n - 1; `by_digit` int32 holds them sorted by digit, those of a digit from `starts` int64
    (10,) on, in order. With `transposed` the rows of `images` are the columns of glyphs. `writers`, which is called
    when they are needed, returns who wrote each glyph, int32 (n,).
    `name` stands for the bank in messages.
    """

    def __init__(
        self,
        images: Sequence[NDArray[np.uint8]],
        labels: NDArray[np.uint8],
        *,
        identity: str,
        first_id: int = 0,
        writers: Callable[[], NDArray[np.int32]] | None = None,
        transposed: bool = False,
    ) -> None:
        self._parts = [part.reshape(len(part), -1) for part in images]
        sizes = [int(size) for size in images[0].shape[1:]]
        self.height, self.width = reversed(sizes) if transposed else sizes
        self._transposed = transposed
        self.labels = labels
        self.identity = identity
        self.first_id = first_id
        self.counts = np.bincount(labels, minlength=10)
        self.starts = np.cumsum(self.counts) - self.counts
        self.by_digit = np.argsort(labels, kind="stable").astype(np.int32) + np.int32(first_id)
        self._ink = np.full((len(labels), 4), _UNKNOWN, dtype=np.int32)
        self._ink_lock = Lock()
        self._writers = writers
        self.name = "the source"

    def narrowed(self, glyphs: Sequence[NDArray[np.int32]], name: str) -> Self:
        """Return a bank of the same images, labels and ids that holds these glyphs of each digit, ids int32 (n,).

        `name` stands for them in messages.
        """
        narrowed = copy(self)
        narrowed.counts = np.array([len(ids) for ids in glyphs])
        narrowed.starts = np.cumsum(narrowed.counts) - narrowed.counts
        narrowed.by_digit = np.concatenate(glyphs)
        narrowed.name = name
        return narrowed

    def __len__(self) -> int:
        return len(self.labels)

    def glyphs_of(self, digit: int) -> NDArray[np.int32]:
        """Return the ids of the glyphs of `digit`, in order: int32 (n,)."""
        return self.by_digit[self.starts[digit] : self.starts[digit] + self.counts[digit]]

    def take(self, glyphs: NDArray[Any], out: NDArray[np.uint8]) -> None:
        """Copy the images of the glyphs with these ids, ink 255 on paper 0, to `out`: uint8 (n, height * width).

        The fast way in: ids have to be of this bank, and are best np.intp, which NumPy need not convert.
        """
        rows = glyphs - self.first_id if self.first_id else glyphs
        self._parts[0].take(rows, axis=0, out=out, mode="clip")  # "clip" spares a buffer that "raise" needs
        start = len(self._parts[0])
        for part in self._parts[1:]:
            here = np.flatnonzero((rows >= start) & (rows < start + len(part)))
            out[here] = part[rows[here] - start]
            start += len(part)
        if self._transposed:
            out[:] = out.reshape(-1, self.width, self.height).swapaxes(1, 2).reshape(out.shape)

    def images(self, glyphs: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the images of the glyphs with these ids, ink 255 on paper 0: uint8 (n, height, width)."""
        ids = np.asarray(glyphs)
        if ids.size and not self.first_id <= ids.min() <= ids.max() < self.first_id + len(self):
            raise RequestError(f"glyph ids are {self.first_id} to {self.first_id + len(self) - 1} in this source")
        out = np.empty((len(ids), self.height * self.width), dtype=np.uint8)
        self.take(ids, out)
        return out.reshape(len(ids), self.height, self.width)

    def ink(self, glyphs: NDArray[Any]) -> NDArray[np.int32]:
        """Return the ink boxes of the glyphs with these ids: int32 (*shape of glyphs, 4), as x, y, width, height.

        In px from the corner of the glyph's box; a glyph without ink has width and height 0. Worked out once for each.
        """
        rows = np.asarray(glyphs) - self.first_id
        with self._ink_lock:
            boxes = self._ink.take(rows, axis=0)
            if boxes.size and boxes[..., 0].min() == _UNKNOWN:
                new = rows[boxes[..., 0] == _UNKNOWN]
                if len(new) > _FEW:
                    new = np.flatnonzero(np.bincount(new))
                for start in range(0, len(new), 4096):
                    block = new[start : start + 4096]
                    self._ink[block] = ink_boxes(self.images(block + self.first_id))
                boxes = self._ink.take(rows, axis=0)
        return boxes

    @property
    def knows_writers(self) -> bool:
        """Whether it is known who wrote the glyphs."""
        return self._writers is not None

    @cached_property
    def writers(self) -> NDArray[np.int32]:
        """The number of the writer of each glyph, int32 (n,). Raises RequestError where that is not known."""
        if self._writers is None:
            raise RequestError(
                "it is not known who wrote the digits of a custom source",
                hint="tell it with `writers`, an IDX file with a number for each image",
            )
        return self._writers()

    def written_by(self, glyphs: NDArray[Any]) -> NDArray[np.int32]:
        """Return the writers of the glyphs with these ids: int32, of the same shape. Raises RequestError."""
        return self.writers.take(np.asarray(glyphs) - self.first_id)

    def sums(self) -> list[bytes]:
        """Return a sum of 16 bytes of each image and its size, in order: equal for equal images, in practice only."""
        size = b"%d:" % self.width
        ids = range(self.first_id, self.first_id + len(self))
        blocks = (self.images(np.array(ids[start : start + 4096])) for start in range(0, len(ids), 4096))
        return [blake2b(size + image.tobytes(), digest_size=16).digest() for block in blocks for image in block]

    @property
    def facts(self) -> GlyphFacts:
        """What a recipe for this bank says of its glyphs."""
        return GlyphFacts(self.identity, self.height, self.width, *self.largest_ink)

    @property
    def largest_ink(self) -> tuple[int, int]:
        """Height and width in px that the ink of no glyph exceeds."""
        if self.identity in BUNDLED_SOURCES:
            return 20, 20  # to which MNIST's digits were scaled (LeCun, Bottou, Bengio and Haffner 1998, section III.A)
        sizes = self.ink(np.arange(self.first_id, self.first_id + len(self)))[:, 2:]
        return int(sizes[:, 1].max()), int(sizes[:, 0].max())


def ink_boxes(images: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the ink box of each image, uint8 (n, height, width) with paper 0: int32 (n, 4), x, y, width, height.

    All four are 0 for an image without ink.
    """
    boxes = np.zeros((len(images), 4), dtype=np.int32)
    size = gcd(images.shape[2], 8)
    words = images.view(f"u{size}") if images.flags.c_contiguous else images  # so many pixels at once
    rows = np.zeros(words.shape[:2], dtype=words.dtype)
    for column in range(words.shape[2]):
        rows |= words[:, :, column]
    columns = images
    while (tall := columns.shape[1]) > 1:  # one half over the other
        columns = columns[:, : tall + 1 >> 1] | columns[:, tall >> 1 :]
    for number, inked in ((0, columns[:, 0] != 0), (1, rows != 0)):
        first, last = inked.argmax(axis=1), inked.shape[1] - inked[:, ::-1].argmax(axis=1)
        some = inked.any(axis=1)
        boxes[:, number] = np.where(some, first, 0)
        boxes[:, number + 2] = np.where(some, last - first, 0)
    return boxes


def find(
    source: str | PathLike[str],
    labels: str | PathLike[str] | None = None,
    paper: str | PathLike[str] = "plain",
    writers: str | PathLike[str] | None = None,
    *,
    transposed: bool = False,
) -> Source:
    """Return the source that goes by this name, or that is in these two IDX files. Raises RequestError, OSError.

    Without `labels` it may be a folder, an npz file, or images with their labels beside (`custom.files_at`). `paper` is
    a kind of background, which is none of the source's, or a picture; `writers` is a third IDX file.
    """
    background = None if paper in PAPERS else Path(paper).absolute()
    if writers is not None and source in BUNDLED_SOURCES:
        raise RequestError(
            f"`writers` {fspath(writers)} is for a custom source, and `source` is {fspath(source)}",
            hint="leave it out: who wrote MNIST's digits is known",
        )
    if transposed and source in BUNDLED_SOURCES:
        raise RequestError("`source_transposed` is for a custom source", hint="MNIST's own digits are upright")
    hands = None if writers is None else Path(writers).absolute()
    if labels is None:
        path, part = custom.parted(fspath(source))
        if source in BUNDLED_SOURCES or not path.exists():
            return Source(fspath(source), background=background)
        return Source(part, *custom.files_at(path, part), background, hands, transposed)
    if source in BUNDLED_SOURCES:
        raise RequestError(
            f"`source_labels` {fspath(labels)} is for a custom source, and `source` is {fspath(source)}",
            hint=f"give the images with `source`; a file of that name is ./{fspath(source)}",
        )
    return Source("own", Path(source).absolute(), Path(labels).absolute(), background, hands, transposed)


def load(source: Source) -> Bank:
    """Return the bank of a source; the same object for the same glyphs, so that a process reads its files once.

    Raises as `read` does.
    """
    return _read_once(replace(source, background=None))


def read(source: Source) -> Bank:
    """Return a new bank with the glyphs of a source.

    Raises FormatError for files that are not a pair of images and labels, OutputError when bundled files are missing,
    OSError.
    """
    if source.images is None or source.labels is None:
        directory = bundled_directory()
        files = {"train": BUNDLED_FILES[:2], "test": BUNDLED_FILES[2:], "all": BUNDLED_FILES}[source.name]
        pairs = [
            read_pair(directory / images.name, directory / labels.name, mapped=True)[:2]
            for images, labels in zip(files[::2], files[1::2], strict=True)
        ]
        return Bank(
            [images for images, _ in pairs],
            np.concatenate([labels for _, labels in pairs]),
            identity=source.name,
            first_id=TRAIN_SIZE if source.name == "test" else 0,
            writers=lambda: bundled_writers()[_ROWS[source.name]],
        )
    images, labels, writers = read_pair(source.images, source.labels, source.name)
    if source.writers is not None:
        writers = read_writers(source.writers, len(images))
    digest = sha256(f"{images.shape}{' transposed' * source.transposed}".encode())
    for array in (images, labels, *([] if writers is None else [writers.astype("<i4")])):
        for block in blocks_of(array):
            digest.update(block.data)
    known = None if writers is None else lambda: writers
    identity = f"sha256:{digest.hexdigest()}"
    return Bank([images], labels, identity=identity, writers=known, transposed=source.transposed)


_read_once = lru_cache(maxsize=4)(read)
_ROWS = {"train": slice(TRAIN_SIZE), "test": slice(TRAIN_SIZE, None), "all": slice(None)}


@lru_cache(maxsize=1)
def bundled_writers() -> NDArray[np.int32]:
    """Return the number of the writer of each glyph of MNIST, by id: int32 (70000,). Raises as `read` does."""
    return read_writers(bundled_directory() / WRITERS_FILE.name, TRAIN_SIZE + TEST_SIZE)


def looks_transposed(bank: Bank) -> bool:
    """Return whether the images of a custom bank look as if their rows were columns, as those of EMNIST do.

    The mean of each digit is held against that of MNIST.
    """
    if bank.identity in BUNDLED_SOURCES or (bank.height, bank.width) != (28, 28):
        return False
    shared = np.flatnonzero(bank.counts)
    means, known = (
        np.stack([each.images(each.glyphs_of(digit)[:200]).mean(axis=0) for digit in shared.tolist()])
        for each in (bank, load(Source("train")))
    )
    upright, turned = (
        np.corrcoef(means.reshape(-1), other.reshape(-1))[0, 1] for other in (known, known.swapaxes(1, 2))
    )
    return bool(turned > upright + 0.1)


def bundled_directory() -> Path:
    """Return the directory of the MNIST files: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for directory in (package / "data", package.parent / "data"):
        if all((directory / file.name).is_file() for file in (*BUNDLED_FILES, WRITERS_FILE, CLASSES_FILE, NET_FILE)):
            return directory
    raise OutputError("the MNIST files that belong to mnistseq are missing", hint="install it again")
