"""Owns the parsing of a path: which store it is in, and whether there is such a store."""

from __future__ import annotations

import os
import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_seq_cli.errors import RequestError

if TYPE_CHECKING:
    from mnist_seq_cli.storage.store import Store

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.ASCII | re.DOTALL)
"""A scheme has two letters or more: one is a drive of Windows. Of two slashes `Path` leaves one."""


def local_path(location: str | PathLike[str], action: str = "write to") -> Path:
    """Return a location as a path on this machine. Raises RequestError for one that is elsewhere: s3://bucket/out."""
    text = os.fspath(location)
    if scheme := _SCHEME.fullmatch(text):
        raise RequestError(
            f"cannot {action} {scheme[1]}://{scheme[2]}: there is no store for {scheme[1]}://",
            hint="give a path on this machine",
        )
    return Path(text)


def open_store(location: Store | str | PathLike[str], action: str = "write to") -> Store:
    """Return the store at a location; a store is returned as it is. Raises RequestError as `local_path` does."""
    if isinstance(location, str | PathLike):
        from mnist_seq_cli.storage.local_store import LocalStore

        return LocalStore(local_path(location, action))
    return location
