"""Owns reading: images of digit strings back to digits, exactly or approximately.

Imports rooms up to `samples`. `exact` reads images that are as they were made; `recognition` reads others, which
`lines` makes lines of ink and `net` reads; `transcribing` takes the one and then the other. `training` makes the net.
"""
