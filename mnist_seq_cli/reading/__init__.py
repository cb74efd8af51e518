"""Owns reading: images of digit strings back to digits, exactly or approximately.

Imports rooms up to `samples`. `exact` reads images that are as they were made, `approximate` others;
`transcribing` takes the one and then the other. One more reader is a module with a `read`.
"""
