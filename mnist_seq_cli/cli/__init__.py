"""Owns the words that a user types: a command a module, one error boundary, bars and tables.

Imports all rooms. One more command is one module here.
"""
