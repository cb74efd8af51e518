"""Owns the format `webdataset`: a tar file a shard, with KEY.png and KEY.json for each sample, side by side.

With masks KEY.mask.png comes after these: to its readers a key ends at the first dot.

USTAR, with nothing in it that depends on when or by whom it was written; and a reader that takes exactly this, and
nothing that a tar file can hold beside it (links, devices, long names), so that there is nothing to guard against.
Layout of a header: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mnist_seq_cli.codecs import png
from mnist_seq_cli.codecs.compression import Compression
from mnist_seq_cli.engine.batch import Annotations, Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats import Nothing, Written, standing_shards
from mnist_seq_cli.formats.annotations import MAX_ROW, parse_row, row_names, rows_of, to_batch
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.store import FileSum

SHARD_SIZE = 10_000
SHARDS_STAND = True
RANDOM_ACCESS = False
ANY_WIDTH = True
MASKS = True
COMPRESSION: Compression = "small"

BLOCK = 512
END = bytes(2 * BLOCK)

IMAGE, ROW, MASK = ".png", ".json", png.MASK_SUFFIX
"""How the names of a sample's members end, in their order."""

_NAME = re.compile(rb"[0-9]{8}\.(png|json|mask\.png)\0+", re.ASCII)
_VALUE = r"[0-9, .\[\]-]+"
_OCTAL_DIGITS = re.compile(rb"[0-7]{11}", re.ASCII)
_NO_NUMBER = b"00000000"
_OWNER = b"0000644\0" + b"0000000\0" + b"0000000\0"
_NO_SIZE = _NO_TIME = b"00000000000\0"
_NO_SUM = b"000000\0 "
_REST = b"0" + bytes(100) + b"ustar\x0000" + bytes(BLOCK - 265)
_NUMBER, _SIZE, _SUM = slice(0, 8), slice(124, 135), slice(148, 154)
_TENS = 10 ** np.arange(7, -1, -1)
_OCTAL = 3 * np.arange(10, -1, -1)
"""How far the octal digits of a number are to be shifted."""


def file_names(spec: Spec) -> tuple[str, ...]:
    """Return nothing: the shards are all there is."""
    return ()


def shard_path(shard: Shard) -> str:
    """Return the tar file of the shard."""
    return f"{shard.number:05d}.tar"


def shard_paths(spec: Spec, shard: Shard) -> tuple[str, ...]:
    """Return the tar file of the shard."""
    return (shard_path(shard),)


def _endings(spec: Spec) -> tuple[str, ...]:
    return (IMAGE, ROW, MASK) if spec.masks else (IMAGE, ROW)


def folders(directory: Path, spec: Spec) -> list[Path]:
    """Return nothing: there are none."""
    return []


def standing(directory: Path, spec: Spec) -> Iterator[tuple[Path, bool]]:
    """Yield tar files that are named like shards, and whether they are of the plan."""
    yield from standing_shards(directory, spec.plan, shard_path)


def prepare(directory: Path, spec: Spec) -> None:
    """Do nothing: shards stand in the directory itself."""


def keep_shard(directory: Path, stage: Path, spec: Spec, shard: Shard, truths: Iterator[Annotations]) -> None:
    """Do nothing: what stands is all there is."""


def members(recipe: Recipe, batch: Batch, compression: Compression) -> bytes:
    """Return the samples of a batch as the members of a tar file, headers and padding included."""
    images = png.encode(batch.images, compression, batch.widths)
    rows = [f"{{{row}}}".encode() for _, row in rows_of(recipe, batch)]
    columns = [*_files(batch.first, IMAGE, images), *_files(batch.first, ROW, rows)]
    if batch.masks is not None:
        columns += _files(batch.first, MASK, png.encode(batch.masks, compression, batch.widths))
    return b"".join(piece for sample in zip(*columns, strict=True) for piece in sample)


def _files(first: int, ending: str, contents: list[bytes]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return headers, contents and what fills their last blocks, for files of samples `first` and on."""
    sizes = np.array(list(map(len, contents)))
    name = _NO_NUMBER + ending.encode()
    template = name + bytes(100 - len(name)) + _OWNER + _NO_SIZE + _NO_TIME + _NO_SUM
    headers = np.tile(np.frombuffer(template + _REST, dtype=np.uint8), (len(contents), 1))
    numbers = np.arange(first, first + len(contents))[:, None] // _TENS % 10
    lengths = sizes[:, None] >> _OCTAL[-11:] & 7
    # The sum is taken as if there were spaces in its place.
    sums = sum(template) + sum(_REST) + 8 * ord(" ") - sum(_NO_SUM) + numbers.sum(axis=1) + lengths.sum(axis=1)
    for place, digits in ((_NUMBER, numbers), (_SIZE, lengths), (_SUM, sums[:, None] >> _OCTAL[-6:] & 7)):
        headers[:, place] += digits.astype(np.uint8)
    joined = headers.tobytes()
    filling = [bytes(size) for size in (-sizes % BLOCK).tolist()]
    return [joined[place : place + BLOCK] for place in range(0, len(joined), BLOCK)], contents, filling


def write_shard(directory: Path, stage: Path, spec: Spec, shard: Shard, batches: Iterator[Batch]) -> Written:
    """Write the tar file of the shard, and give it its name. Raises OSError."""
    with local.NewFile(stage / shard_path(shard)) as file:
        for batch in batches:
            file.write(members(spec.recipe, batch, spec.compression))
        file.write(END)
    local.place(file.path, directory / shard_path(shard))
    return Written(1, *file.sum)


def check_shard(directory: Path, spec: Spec, shard: Shard) -> Written:
    """Return what the tar file holds. Raises OSError."""
    return Written(1, *local.sum_of(directory / shard_path(shard)))


def sum_of(directory: Path, name: str, spec: Spec) -> FileSum:
    """Return nothing: there are no files beside the shards. Raises FormatError."""
    raise FormatError(f"{name} is none of the files of a dataset in this format")


def collector(directory: Path, stage: Path, spec: Spec) -> Nothing:
    """Return what joins the shards: nothing, they are all there is."""
    return Nothing()


def read_texts(directory: Path, spec: Spec) -> Iterator[str]:
    """Yield the sequence of each sample as plain text, `0042`. Raises FormatError, OSError."""
    for shard in spec.plan:
        texts = _texts_as_written(directory, spec, shard)
        if texts is None:
            yield from (parse_row(spec.recipe, row)["text"] for _, _, row, *_ in _samples(directory, spec, shard))
        else:
            yield from texts


def _texts_as_written(directory: Path, spec: Spec, shard: Shard) -> list[str] | None:
    """Return the sequences in a tar file that is as we write it; None for any other, which is to be read with care.

    Five times as fast: only headers and rows are looked at, and nothing is copied.
    """
    fields = "".join(rf', "{name}": {_VALUE}' for name in row_names(spec.recipe))
    as_written = re.compile(rf'\{{"text": "([0-9]+)"{fields}\}}'.encode(), re.ASCII)
    endings, texts, place = _endings(spec), [], 0
    with local.open_regular(directory / shard_path(shard)) as file:
        if os.fstat(file.fileno()).st_size == 0:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for sample in range(shard.first, shard.stop):
                for ending in endings:
                    header = content[place : place + BLOCK]
                    name, size = f"{sample:08d}{ending}\0".encode(), header[_SIZE]
                    if not (header.startswith(name) and header[156:157] == b"0" and _OCTAL_DIGITS.fullmatch(size)):
                        return None
                    start, length = place + BLOCK, int(size, 8)
                    place = start + length + -length % BLOCK
                    if ending == ROW:
                        row = as_written.fullmatch(content[start : start + length]) if length < MAX_ROW else None
                        if row is None:
                            return None
                        texts.append(row[1].decode())
            return texts if content[place:] == END else None


def read(directory: Path, spec: Spec, shard: Shard) -> Iterator[Batch]:
    """Yield the samples of the shard in batches. Raises FormatError, OSError."""
    samples = _samples(directory, spec, shard)
    for first, stop in spans(spec.recipe, shard.first, shard.stop):
        images, rows, masks = [], [], []
        for sample, content, row, *mask in islice(samples, stop - first):
            name = f"{shard_path(shard)}, {sample:08d}"
            images.append(png.decode(content, name=f"{name}{IMAGE}"))
            rows.append(parse_row(spec.recipe, row))
            masks += [png.decode(content, name=f"{name}{MASK}") for content in mask]
        yield to_batch(spec.recipe, first, rows, images, masks if spec.masks else None)
    next(samples, None)  # which looks for what should not be there


def _samples(directory: Path, spec: Spec, shard: Shard) -> Iterator[tuple[Any, ...]]:
    """Yield (number, PNG file, row of JSON) for each sample of a shard, which has to hold them all, in order.

    The PNG file of the mask comes after these where the spec says so.
    """
    contents, endings = read_members(directory / shard_path(shard)), _endings(spec)
    for sample in range(shard.first, shard.stop):
        found = list(islice(contents, len(endings)))
        if [name for name, _ in found] != [f"{sample:08d}{ending}" for ending in endings]:
            raise FormatError(f"{shard_path(shard)} has no sample {sample} where it should be")
        yield sample, *(content for _, content in found)
    if next(contents, None) is not None:
        raise FormatError(f"{shard_path(shard)} holds more than its samples")


def read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) for each member of a tar file as this module writes it. Raises FormatError, OSError."""
    with local.open_regular(path) as file:
        while (header := file.read(BLOCK)) and header != bytes(BLOCK):
            name = _NAME.fullmatch(header[:100])
            if name is None or len(header) != BLOCK or header[156:157] != b"0" or header[257:262] != b"ustar":
                raise FormatError(f"{path.name} holds something else than PNG and JSON files of samples")
            try:
                size = int(header[124:135], 8)
            except ValueError:
                size = -1
            if not 0 <= size <= png.MAX_PIXELS:
                raise FormatError(f"{path.name} has a member of an impossible size")
            content = file.read(size)
            if len(content) != size:
                raise FormatError(f"{path.name} is truncated")
            file.seek(-size % BLOCK, 1)
            yield header[:100].rstrip(b"\0").decode(), content
        while rest := file.read(1 << 16):
            if rest.strip(b"\0"):
                raise FormatError(f"{path.name} goes on after its end, as tar files do that were joined")


def stream(recipe: Recipe, batches: Iterable[Batch], compression: Compression) -> Iterator[bytes]:
    """Yield one tar file with all samples, piece by piece."""
    for batch in batches:
        yield members(recipe, batch, compression)
    yield END
