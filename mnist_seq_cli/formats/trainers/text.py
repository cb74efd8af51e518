"""Owns the files by which trainers of recognition learn what an image says; zeros in front stay everywhere."""

from __future__ import annotations

from collections.abc import Iterator

from mnist_seq_cli.engine.batch import Annotations
from mnist_seq_cli.formats.format import Extra, SideFiles
from mnist_seq_cli.formats.trainers.source import Images, lines, nothing
from mnist_seq_cli.recipe.plan import Shard


def paddleocr(images: Images) -> tuple[Extra, ...]:
    """Return gt.txt, `name TAB text`, which deep-text-recognition-benchmark and PARSeq read, too; and dict.txt."""
    return lines("gt.txt", "%s\t%s\n", images.names), Extra("dict.txt", b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n", nothing)


def trdg(images: Images) -> tuple[Extra, ...]:
    """Return images/labels.txt, `name text`, as TextRecognitionDataGenerator writes it with -na 2."""
    return (lines(f"{images.folder}labels.txt", "%s %s\n", images.inside),)


def doctr(images: Images) -> tuple[Extra, ...]:
    """Return labels.json of docTR's recognition: the text of each image in images/."""
    whole = lines("labels.json", ',\n"%s": "%s"', images.inside)
    return (whole._replace(head=b"{\n", separator=b",\n", tail=b"\n}\n"),)


def mmocr(images: Images) -> tuple[Extra, ...]:
    """Return mmocr.json of a TextRecogDataset."""
    whole = lines("mmocr.json", ',\n{"img_path": "%s", "instances": [{"text": "%s"}]}', images.names)
    head = b'{"metainfo": {"dataset_type": "TextRecogDataset", "task_name": "textrecog"}, "data_list": [\n'
    return (whole._replace(head=head, separator=b",\n", tail=b"\n]}\n"),)


def tesseract(images: Images) -> tuple[SideFiles, ...]:
    """Return NAME.gt.txt beside each NAME.png, as tesstrain reads them."""

    def named(name: str) -> str:
        return f"{name.removesuffix('.png')}.gt.txt"

    def contents(shard: Shard, known: Annotations) -> Iterator[tuple[str, bytes]]:
        for name, text in zip(images.names(known.samples), known.texts, strict=True):
            yield named(name), f"{text}\n".encode()

    return (SideFiles("tesseract", lambda shard: list(map(named, images.of_shard(shard))), contents),)


_NO_WORD = "x.png,\N{SYMBOL FOR NULL}"
"""A row that keeps a column of digits text; the trainer leaves it out, as its word is of no character set."""


def easyocr(images: Images) -> tuple[Extra | SideFiles, ...]:
    """Return labels.csv in each folder of images, as EasyOCR's trainer reads each folder that has none in it."""
    head = f"filename,words\n{_NO_WORD}\n"
    if not images.format.shard_names(images.spec, images.spec.plan[0]):
        return (lines(f"{images.folder}labels.csv", "%s,%s\n", images.inside)._replace(head=head.encode()),)

    def named(shard: Shard) -> str:
        return f"{images.names(range(shard.first, shard.first + 1))[0].rpartition('/')[0]}/labels.csv"

    def contents(shard: Shard, known: Annotations) -> Iterator[tuple[str, bytes]]:
        rows = [head] if known.first == shard.first else []
        for name, text in zip(images.names(known.samples), known.texts, strict=True):
            rows.append(f"{name.rpartition('/')[2]},{text}\n")
        yield named(shard), "".join(rows).encode()

    return (SideFiles("easyocr", lambda shard: [named(shard)], contents),)
