"""Owns the format `torchmeta`: what pytorch-meta reads as DoubleMNIST and TripleMNIST. It needs h5py.

`train_data.hdf5` has in its group `datasets` one dataset a class, named by its text, of PNG files as bytes, and
`train_labels.json` names the classes; those of the splits `val`, which may be called validation, and `test` are called
so. A shard is a run of records that wait to be joined: bytes of text and PNG file as two 32-bit numbers, then these.
There is no room for annotations.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Generator, Iterable, Iterator
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine.batch import Batch, spelled
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.engine.writing import sequences
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.formats.arrays.columns import places_of
from mnist_seq_cli.formats.format import Checksums, Extra, File, Format, Opener, Part
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import PIECE

_SIZES = struct.Struct("<II")
_CHUNK = 10_000


def _h5py() -> Any:
    """Return the library. Raises FormatError."""
    try:
        import h5py
    except ImportError:
        raise FormatError("torchmeta needs h5py, which is not installed", hint="pip install 'mnistseq[hdf5]'") from None
    return h5py


class Torchmeta(Format):
    """One HDF5 file of classes."""

    NAME = "torchmeta"
    HUB_FILES = ("*.hdf5",)
    READ = r"\.hdf5"
    SEPARABLE = False

    def check(self, spec: Spec) -> None:
        super().check(spec)
        _h5py()
        if spec.recipe.fit:
            raise RequestError("`format=torchmeta` takes images of one width only", hint="take png or webdataset")

    def names(self, spec: Spec, asked: str, there: Collection[str], part: str) -> str:
        super().names(spec, asked, there, part)
        kept = [name for name in ("train", "val", "test") if f"{name}_data.hdf5" in there]
        name = kept[0] if kept else {"validation": "val"}.get(part or asked, part or asked)
        return name if name in ("val", "test") else "train"

    def joined(self, spec: Spec) -> tuple[str, ...]:
        return (f"{spec.names or 'train'}_data.hdf5",)

    def extras(self, spec: Spec) -> tuple[Extra, ...]:
        """Return the list of classes: of the rows of samples, each class once."""

        def rows(_shard: Shard, known: Any) -> bytes:
            return "".join(f"{text}\n" for text in dict.fromkeys(known.texts)).encode()

        def once(pieces: Iterable[bytes]) -> Iterator[bytes]:
            yield json.dumps(sorted({*b"".join(pieces).decode().split()})).encode() + b"\n"

        return (Extra(f"{spec.names or 'train'}_labels.json", b"", rows, convert=once),)

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        def records() -> Iterator[bytes]:
            for batch in batches:
                contents = png.encode(batch.images, spec.compression, batch.widths)
                for text, content in zip(batch.texts, contents, strict=True):
                    yield _SIZES.pack(len(text), len(content)) + text.encode() + content

        yield File(self.part_name(spec, self.joined(spec)[0], shard), records())
        return None

    def join(self, spec: Spec, name: str, parts: Iterable[Part]) -> Iterator[bytes]:
        """Yield the file, which is first made in a temporary one."""
        h5py, (labels, places) = _h5py(), _places(spec)
        counts = np.bincount(places[:, 0], minlength=len(labels)).tolist()
        with TemporaryFile() as made:
            with h5py.File(made, "w") as file:
                group, kind = file.create_group("datasets"), h5py.vlen_dtype(np.uint8)
                of_label = {
                    text: group.create_dataset(text, (count,), kind) for text, count in zip(labels, counts, strict=True)
                }
                written = dict.fromkeys(labels, 0)
                for text, content in _records(piece for part in parts for piece in part.pieces):
                    of_label[text][written[text]] = np.frombuffer(content, np.uint8)
                    written[text] += 1
            made.seek(0)
            while piece := made.read(PIECE):
                yield piece

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        return _Reader(spec, self.joined(spec)[0], open_file)

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        """Yield the sequences of the recipe, which the classes of the file have to have. Raises FormatError."""
        name = self.joined(spec)[0]
        labels, places = _places(spec)
        with open_file(name) as content, _opened(content, name) as file:
            counts = {text: len(dataset) for text, dataset in file["datasets"].items()}
        if counts != dict(zip(labels, np.bincount(places[:, 0]).tolist(), strict=True)):
            raise FormatError(f"{name} does not have the classes that the recipe makes")
        yield from (labels[label] for label in places[:, 0].tolist())


def _opened(content: Any, name: str) -> Any:
    """Return an HDF5 file. Raises FormatError."""
    try:
        return _h5py().File(content, "r")
    except OSError as error:
        raise FormatError(f"{name} is damaged ({str(error)[:80]})") from None


def _places(spec: Spec) -> tuple[list[str], NDArray[np.int64]]:
    """Return all classes in order, and for each sample which it is of, and how many of that come before: (n, 2)."""
    texts = []
    for first in range(0, spec.samples, _CHUNK):
        digits, lengths = sequences(spec.recipe, range(first, min(first + _CHUNK, spec.samples)))
        texts.append(np.array(spelled(digits.astype(np.uint8), lengths)))
    labels, of_class = np.unique(np.concatenate(texts), return_inverse=True)
    order = np.argsort(of_class, kind="stable")
    begins = np.concatenate([[0], np.bincount(of_class).cumsum()[:-1]])
    places = np.empty((len(of_class), 2), np.int64)
    places[:, 0] = of_class
    places[order, 1] = np.arange(len(of_class)) - begins[of_class[order]]
    return labels.tolist(), places


def _records(pieces: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield text and PNG file of each record. Raises FormatError."""
    held = b""
    for piece in pieces:
        held += piece
        at = 0
        while len(held) - at >= _SIZES.size:
            text, content = _SIZES.unpack_from(held, at)
            middle, stop = at + _SIZES.size + text, at + _SIZES.size + text + content
            if stop > len(held):
                break
            yield held[middle - text : middle].decode("ascii"), held[middle:stop]
            at = stop
        held = held[at:]
    if held:
        raise FormatError("a shard is damaged: its last record is not whole")


class _Reader:
    """Reads images by class and place; the recipe says which these are, and what else is known of a sample."""

    def __init__(self, spec: Spec, name: str, open_file: Opener) -> None:
        self._spec, self._name, self._open_file = spec, name, open_file
        self._known: tuple[list[str], NDArray[np.int64]] | None = None

    def read(self, samples: Numbers) -> Batch:
        """Return samples. Raises FormatError, OSError."""
        if self._known is None:
            self._known = _places(self._spec)
        labels, places = self._known
        numbers, recipe = as_array(samples), self._spec.recipe
        images = np.empty((len(numbers), recipe.height, recipe.width), np.uint8)
        with self._open_file(self._name) as content, _opened(content, self._name) as file:
            for row, (label, place) in enumerate(places[numbers].tolist()):
                try:
                    stored = file["datasets"][labels[label]][place]
                except (KeyError, IndexError, ValueError, OSError) as error:
                    raise FormatError(f"{self._name} has no sample {numbers[row]} ({str(error)[:80]})") from None
                image = png.decode(stored.tobytes(), name=f"the image of sample {numbers[row]} in {self._name}")
                if image.shape != images.shape[1:]:
                    raise FormatError(f"the image of sample {numbers[row]} in {self._name} has another size")
                images[row] = image
        longs, lengths = sequences(recipe, samples)
        digits, widths = longs.astype(np.uint8), np.full(len(numbers), recipe.width, np.int32)
        known = {"widths": widths, "images": images, **places_of(self._spec, samples, digits)}
        chosen = None if isinstance(samples, range) else numbers
        return Batch(int(numbers[0]), digits, lengths, **known, chosen=chosen)
