"""Owns splits: several datasets of one request, side by side, which share no glyph, no writer, or no sequence.

out/splits.json         what was asked for: the seed, the names and sizes, and what is not shared
out/train/, out/val/    a dataset each, with metadata files of its own

asked    the content of splits.json
parts    which glyphs, writers or sequences each takes
build    the datasets, one after the other
"""
