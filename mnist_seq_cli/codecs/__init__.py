"""Owns bytes to arrays and back, for one image or file at a time: codecs know no recipe and no disk.

Imports `errors` alone. One more codec is a module with `encode`, `decode`, or both; `notebook`
gives what notebooks show.
"""
