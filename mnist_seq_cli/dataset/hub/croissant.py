"""Owns croissant.json: a dataset in the vocabulary of Croissant 1.0 (mlcommons.org/croissant), its files and records.

Records are an image and its label: `0-0-4-2` of labels.csv, as readers of metadata.jsonl would take 0042 for 42. Tar
files have records of images, and others of what is known of them, which mlcroissant cannot join: names differ by what
ends them. Of other formats there are the files alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mnist_seq_cli import formats
from mnist_seq_cli.dataset.records import Record
from mnist_seq_cli.formats.rows import LABELS_NAME
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import FileSum

CROISSANT_NAME = "croissant.json"
HEAD = b'{\n "description": "Images of digit sequences, made by mnistseq'
"""How a file begins that a run wrote."""

CITATION = (
    "Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document recognition, "
    "Proceedings of the IEEE 86(11), 2278–2324, 1998"
)
MNIST_LICENCE = "https://creativecommons.org/licenses/by-sa/3.0/"

_CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "equivalentProperty": "cr:equivalentProperty",
    "samplingRate": "cr:samplingRate", "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet",
    "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip
"""The context that the specification of version 1.0 gives."""

_LISTED = 10_000
"""Shards of which each is listed; of more there are only the files of the whole."""

_TYPES = {
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".tar": "application/x-tar",
    ".txt": "text/plain",
}


def render(spec: Spec, sums: Mapping[str, FileSum], records: Iterable[Record]) -> bytes:
    """Return croissant.json of a dataset of these files, and of shards with these records."""
    format_ = formats.get(spec.format)
    distribution = [_file_object(name, total.bytes, total.sha256) for name, total in sums.items()]
    if not format_.SMALL_FILES and format_.SEPARABLE and format_.SUFFIX and len(spec.plan) <= _LISTED:
        for record in records:
            (name,) = format_.shard_names(spec, spec.plan[record.shard])
            distribution.append(_file_object(name, record.bytes, record.sha256))
    archives = [each["@id"] for each in distribution if each["encodingFormat"] == _TYPES[".tar"]]
    sets, record_sets = _records_of_archives(archives) if archives else _records(spec)
    is_mnist = spec.recipe.source in BUNDLED_SOURCES
    whole = {
        "description": f"Images of digit sequences, made by mnistseq: {spec.samples} samples.",
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": "digit-sequences",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": "1.0.0",
        **({"license": MNIST_LICENCE, "citeAs": CITATION} if is_mnist else {}),
        "distribution": distribution + sets,
        **({"recordSet": record_sets} if record_sets else {}),
    }
    return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


def _file_object(name: str, size: int, digest: str) -> dict[str, Any]:
    kind = next((kind for ending, kind in _TYPES.items() if name.endswith(ending)), "application/octet-stream")
    url = _url_of_archive(name, digest) if kind == _TYPES[".tar"] else name
    about = {"contentUrl": url, "contentSize": f"{size} B", "encodingFormat": kind, "sha256": digest}
    return {"@type": "cr:FileObject", "@id": name, **about}


def _url_of_archive(name: str, digest: str) -> str:
    """Return a relative URL of a file that no file of the same name, but another content, has.

    mlcroissant keeps what it has unpacked by the URL, and would give members of another dataset's 00000.tar. The steps
    before the name lead nowhere; they are 24 bits of its SHA-256.
    """
    return "".join(["./" if bit == "0" else ".//" for bit in f"{int(digest[:6], 16):024b}"]) + name


def _records_of_archives(names: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the sets of the members of tar files, images and rows of JSON, and a set of records of each."""
    archives, sets, record_sets = [{"@id": name} for name in names], [], []
    for kind, includes, encoding, field, type_ in (
        ("samples", "*[0-9].png", "image/png", "image", "sc:ImageObject"),
        ("annotations", "*[0-9].json", "application/json", "row", "sc:Text"),
    ):
        members = {"@type": "cr:FileSet", "@id": f"{field}s", "containedIn": archives}
        sets.append({**members, "encodingFormat": encoding, "includes": includes})
        source = {"fileSet": {"@id": f"{field}s"}}
        key = {"extract": {"fileProperty": "filename"}, "transform": {"regex": r"^([0-9]+)\."}}
        fields = [
            _field("key", "sc:Text", {**source, **key}, kind),
            _field(field, type_, {**source, "extract": {"fileProperty": "content"}}, kind),
        ]
        record_sets.append({"@type": "cr:RecordSet", "@id": kind, "field": fields})
    return sets, record_sets


def _records(spec: Spec) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the sets of files that records come from, and sets of records; none where images are no files.

    Images are joined by their file name alone, which is of one image: a reader keeps paths as objects, which are not
    equal to text.
    """
    format_ = formats.get(spec.format)
    if not format_.image_names(spec, range(1)):
        return [], []
    labels, images = {"fileObject": {"@id": LABELS_NAME}}, {"fileSet": {"@id": "images"}}
    pattern = next(pattern for pattern in format_.HUB_FILES if pattern.endswith(".png"))
    name = {"extract": {"column": "file_name"}, "transform": {"regex": r"^(?:.*/)?([^/]+)$"}}
    fields = [
        _field("file_name", "sc:Text", {**labels, **name})
        | {"references": {**images, "extract": {"fileProperty": "filename"}}},
        _field("label", "sc:Text", {**labels, "extract": {"column": "label"}}),
        _field("image", "sc:ImageObject", {**images, "extract": {"fileProperty": "content"}}),
    ]
    file_set = {"@type": "cr:FileSet", "@id": "images", "encodingFormat": "image/png", "includes": pattern}
    return [file_set], [{"@type": "cr:RecordSet", "@id": "samples", "field": fields}]


def _field(name: str, kind: str, source: dict[str, Any], records: str = "samples") -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": f"{records}/{name}", "dataType": kind, "source": source}
