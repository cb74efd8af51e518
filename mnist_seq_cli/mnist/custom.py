"""Owns custom glyphs on disk: the IDX files of a folder, Keras's npz, QMNIST's labels; and what is wrong with them."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.mnist import idx

Part = str
"""The part of a source that has several: "train" or "test"."""

_IMAGES = re.compile(r"(.*-)?(train|t10k|test)-images[-.]idx3-ubyte(\.gz)?")
_FOLDERS = (".", "raw", "MNIST/raw")
"""Where torchvision keeps the files of a data set, in the folder that it is given."""

_QMNIST_COLUMNS, _QMNIST_WRITER = 8, 2
_HINT = "labels are uint8 with one dimension"


def parted(text: str) -> tuple[Path, Part]:
    """Return the path of a source and the part of it: `MNIST/raw:test` is the test part, and without it is train."""
    path, colon, part = text.rpartition(":")
    if colon and part in ("train", "test") and not Path(text).exists():
        return Path(path).absolute(), part
    return Path(text).absolute(), "train"


def files_at(path: Path, part: Part) -> tuple[Path, Path]:
    """Return the images and the labels of a source: a folder, an npz file (for both), or images with labels beside.

    Raises RequestError where there are none, or several.
    """
    if path.is_dir():
        path = _images_in(path, part)
    if path.suffix.lower() == ".npz":
        return path, path
    before, found, _ = path.name.rpartition("images")
    pattern = re.compile(re.escape(before) + r"labels[-.]idx[12]-(ubyte|int)(\.gz)?")
    beside = sorted(each for each in path.parent.iterdir() if pattern.fullmatch(each.name)) if found else []
    if not beside:
        raise RequestError(f"there are no labels beside {path}", hint="give them with `source_labels`")
    return path, beside[0]


def _images_in(folder: Path, part: Part) -> Path:
    """Return the images of a part in a folder. Raises RequestError where there are none, or several."""
    for place in _FOLDERS:
        inside = folder / place
        found = {}
        for path in sorted(inside.iterdir(), reverse=True) if inside.is_dir() else ():
            match = _IMAGES.fullmatch(path.name)
            if match and (match[2] == "train") == (part == "train"):
                found[match[1] or ""] = path
        if len(found) == 1 or "" in found:
            return found.get("") or next(iter(found.values()))
        if found:
            names = ", ".join(sorted(path.name for path in found.values()))
            raise RequestError(f"{inside} has several sources: {names}", hint="give one of these files")
    raise RequestError(
        f"{folder} has no images to {part} with", hint=f"they are in files such as {part}-images-idx3-ubyte"
    )


def read_pair(
    image_path: Path, label_path: Path, part: Part = "train", *, mapped: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32] | None]:
    """Return images uint8 (n, height, width), labels uint8 (n,), and the writers where the labels tell: int32 (n,).

    Raises FormatError for files that are not that, OSError.
    """
    writers = None
    if image_path == label_path:
        images, labels = (_read_npz(image_path, f"{name}_{part}") for name in "xy")
    else:
        images, labels = idx.read(image_path, mapped=mapped), np.asarray(idx.read(label_path, mapped=mapped))
        if labels.ndim == 2 and labels.shape[1] == _QMNIST_COLUMNS:
            writers, labels = as_writers(labels), labels[:, 0]
        elif labels.ndim == 1 and labels.dtype != np.uint8:
            raise FormatError(f"{label_path} holds {_describe(labels)}", hint=_HINT)
    if images.ndim == 1 and labels.ndim == 3:
        raise FormatError(
            f"{image_path} holds labels and {label_path} holds images", hint="give them the other way round"
        )
    if images.ndim != 3 or images.dtype != np.uint8:
        raise FormatError(f"{image_path} holds {_describe(images)}", hint="images are uint8 with three dimensions")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise FormatError(f"{label_path} holds {_describe(labels)}", hint=_HINT)
    if len(images) != len(labels):
        raise FormatError(f"{image_path} holds {len(images)} images, and {label_path} {len(labels)} labels")
    _check_labels(label_path, labels)
    return images, labels.astype(np.uint8, copy=False), writers


def _check_labels(path: Path, labels: NDArray[Any]) -> None:
    """Raise FormatError for labels that are no digits, with what to do about it."""
    low, high = int(labels.min()), int(labels.max())
    if low >= 0 and high <= 9:
        return
    hint, classes = "digits are 0 to 9", len(np.unique(labels))
    if classes > 10:
        hint = f"it has {classes} classes, and digits are ten, 0 to 9: take those alone, as EMNIST has in emnist-digits"
    elif (low, high) == (1, 10):
        hint = "its labels begin at 1, and digits are 0 to 9: subtract 1, or write 0 for 10 if that is what 10 means"
    row = int(np.argmax((labels < 0) | (labels > 9)))
    raise FormatError(f"{path} has the label {labels[row]} at {row}", hint=hint)


def read_writers(path: Path, count: int) -> NDArray[np.int32]:
    """Return the numbers in a file of writers, int32 (n,), also in one of QMNIST's labels. Raises FormatError, OSError.

    There has to be one for each of `count` images.
    """
    writers = np.asarray(idx.read(path))
    if writers.ndim == 2 and writers.shape[1] == _QMNIST_COLUMNS:
        writers = as_writers(writers)
    if writers.ndim != 1 or writers.dtype.kind not in "iu":
        raise FormatError(f"{path} holds {_describe(writers)}", hint="writers are whole numbers with one dimension")
    if len(writers) != count:
        raise FormatError(f"{path} holds {len(writers)} writers, and there are {count} images")
    return writers.astype(np.int32)


def as_writers(labels: NDArray[Any]) -> NDArray[np.int32]:
    """Return the writers in the labels of QMNIST, int32 (n,), which have eight columns."""
    return labels[:, _QMNIST_WRITER].astype(np.int32)


def _read_npz(path: Path, name: str) -> NDArray[Any]:
    """Return an array of whole numbers in an npz file, compressed or not. Raises FormatError, OSError."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
            if archive.getinfo(f"{name}.npy").file_size > idx.MAX_INFLATED:
                raise FormatError(f"{path} has more in {name} than can be held")
            if np.lib.format.read_magic(member) != (1, 0):
                raise FormatError(f"{path} has {name} in a form that is not known")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(member, max_header_size=10_000)
            if dtype.kind not in "iu" or fortran or 0 in shape:
                raise FormatError(f"{path} has {dtype} values of shape {shape} in {name}", hint="images are uint8")
            array = np.frombuffer(member.read(), dtype)
            return array.reshape(shape)
    except FormatError:
        raise
    except KeyError:
        hint = "Keras keeps x_train, y_train, x_test and y_test in its own"
        raise FormatError(f"{path} has no array {name}", hint=hint) from None
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise FormatError(f"{path} is not an npz file that can be read ({error})") from None


def _describe(array: NDArray[Any]) -> str:
    return f"{array.dtype.newbyteorder('=')} values of shape {'×'.join(map(str, array.shape))}"
