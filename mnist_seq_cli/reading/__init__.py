"""Owns reading: images of digit strings back to digits, exactly or approximately.

Imports rooms up to `samples`. One more reader is a module with a `read`.
"""
