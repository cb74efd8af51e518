"""Owns the labels of a folder, ours or other people's: labels.csv or metadata.jsonl, for the files that are in it."""

from __future__ import annotations

from pathlib import Path

from mnist_seq_cli.formats.rows import (
    LABELS_NAME,
    METADATA_NAME,
    Row,
    lines_of,
    parse_label,
    parse_row,
    read_any_labels,
)
from mnist_seq_cli.storage import local


def read_labels(directory: Path, names: set[str], folder: str) -> dict[str, Row]:
    """Return what metadata.jsonl or labels.csv say of the files with these names. Raises FormatError, OSError."""
    rows: dict[str, Row] = {}
    if (directory / METADATA_NAME).exists():
        with local.open_regular(directory / METADATA_NAME) as file:
            for number, line in enumerate(lines_of(file), 1):
                if line.strip():
                    row = parse_row(line, f"{METADATA_NAME}, line {number}")
                    name = row.file_name.removeprefix(folder)
                    if name in names and row.file_name.startswith(folder):
                        rows[name] = row
    elif (directory / LABELS_NAME).exists():
        with local.open_regular(directory / LABELS_NAME) as file:
            for file_name, label, where in read_any_labels(file, str(directory / LABELS_NAME)):
                name = file_name.removeprefix(folder)
                if name in names and file_name.startswith(folder):
                    rows[name] = Row(parse_label(label, where))
    return rows
