"""Owns what is asked for: a recipe in four parts, its JSON and TOML, presets, and the plan of shards.

Imports `errors` and the names of `codecs.compression` alone. One more option is one declared field of its part; the
step of the engine that uses it is all that is added by hand.
"""
