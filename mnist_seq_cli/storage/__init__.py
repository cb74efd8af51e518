"""Owns where the files of a dataset are, and how they are committed: whole or not at all.

Imports `errors` alone. One more store is one module with a class that passes the suite of stores.
"""
