"""Owns how the command line is asked for a format."""


def form(name: str) -> list[str]:
    """Return the options for a format, and what may follow its name: `npz`, `png --masks`."""
    return ["--layout" if name == "folders" else "--format", *name.split()]
