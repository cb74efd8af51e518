"""Owns handwritten digits: IDX files, the bundled MNIST, custom sources, and banks of glyphs.

Imports `errors`, `codecs` and `recipe`. One more source of digits is a way to make a Bank.
"""
