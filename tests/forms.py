"""Owns how the command line is asked for a format."""


def form(name: str) -> list[str]:
    """Return the options for a format, one of which the command line knows as a layout of files."""
    return ["--layout" if name == "folders" else "--format", name]
