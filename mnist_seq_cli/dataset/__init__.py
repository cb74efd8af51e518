"""Owns datasets: building, resuming, verifying, regenerating and repairing them, their manifest and their splits.

Imports rooms up to `formats`. What it does holds for every format, store and runner.
"""
