"""Owns annotations beside PNG files: the files that trainers read beside images, made of annotations alone.

    source          what such files are made for: a dataset, and the names of its images
    text            what an image says: PaddleOCR, EasyOCR, docTR, MMOCR, Tesseract, trdg
    templates       numbers in text, for all rows at once
    boxes           where digits are: COCO, YOLO, docTR's detection; svhn: Street View House Numbers

One more is a function there, and a row in the table here and in `recipe.spec.ANNOTATION_NAMES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.formats.format import Extra, Format, SideFiles
from mnist_seq_cli.formats.trainers import boxes, svhn, text
from mnist_seq_cli.formats.trainers.source import Images
from mnist_seq_cli.recipe.spec import Spec

MADE_BY: dict[str, Callable[[Images], tuple[Extra | SideFiles, ...]]] = {
    "coco": boxes.coco,
    "yolo": boxes.yolo,
    "paddleocr": text.paddleocr,
    "easyocr": text.easyocr,
    "doctr": text.doctr,
    "doctr-detection": boxes.doctr_detection,
    "mmocr": text.mmocr,
    "tesseract": text.tesseract,
    "trdg": text.trdg,
    "svhn": svhn.svhn,
}


def _made(format_: Format, spec: Spec, folder: str) -> Iterator[Extra | SideFiles]:
    images = Images(spec, format_, folder)
    for name in spec.annotations:
        yield from MADE_BY[name](images)


def check(spec: Spec) -> None:
    """Raise RequestError where a package is needed that is not installed."""
    if "svhn" in spec.annotations and find_spec("h5py") is None:
        raise RequestError("the `annotations` svhn need h5py", hint="pip install 'mnistseq[hdf5]'")


def extras(format_: Format, spec: Spec, folder: str) -> tuple[Extra, ...]:
    """Return the files of the whole that a dataset asks for, whose images are in this folder, `images/`."""
    return tuple(each for each in _made(format_, spec, folder) if isinstance(each, Extra))


def side_files(format_: Format, spec: Spec, folder: str) -> tuple[SideFiles, ...]:
    """Return the small files of shards that a dataset asks for."""
    return tuple(each for each in _made(format_, spec, folder) if isinstance(each, SideFiles))
