"""Owns the parsing of a location: a path on this machine, or the object store that it is in."""

from __future__ import annotations

import os
import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mnist_seq_cli.errors import RequestError

if TYPE_CHECKING:
    from mnist_seq_cli.storage.object_store import ObjectStore
    from mnist_seq_cli.storage.store import Store

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.ASCII | re.DOTALL)
"""A scheme has two letters or more: one is a drive of Windows. Of two slashes `Path` leaves one."""

OBJECT_SCHEMES = ("s3", "gs", "az")
"""The schemes of object stores."""


PathOrStore: TypeAlias = "Path | ObjectStore"
"""Where a dataset is: both print as what a person typed, and `/` gives what is inside."""


def local_path(location: str | PathLike[str], action: str = "write to") -> Path:
    """Return a location as a path on this machine. Raises RequestError for one that is elsewhere: s3://bucket/out."""
    text = os.fspath(location)
    if scheme := _SCHEME.fullmatch(text):
        reason = f"there is no store for {scheme[1]}://"
        if scheme[1] in OBJECT_SCHEMES:
            reason = "datasets alone can be in an object store"
        raise RequestError(f"cannot {action} {scheme[1]}://{scheme[2]}: {reason}", hint="give a path on this machine")
    return Path(text)


def located(location: str | PathLike[str] | ObjectStore, action: str = "write to") -> PathOrStore:
    """Return the location of a dataset: a path on this machine, or an object store, to which `/` adds names, too.

    Raises RequestError for a scheme that there is no store for, or no library.
    """
    if not isinstance(location, str | PathLike):
        return location
    scheme = _SCHEME.fullmatch(os.fspath(location))
    if scheme is None or scheme[1] not in OBJECT_SCHEMES:
        return local_path(location, action)
    from mnist_seq_cli.storage.object_store import ObjectStore

    return ObjectStore(f"{scheme[1]}://{scheme[2]}")


def open_store(location: Store | str | PathLike[str], action: str = "write to") -> Store:
    """Return the store at a location; a store is returned as it is. Raises RequestError as `located` does."""
    if not isinstance(location, str | PathLike):
        return location
    place = located(location, action)
    if not isinstance(place, Path):
        return place
    from mnist_seq_cli.storage.local_store import LocalStore

    return LocalStore(place)
