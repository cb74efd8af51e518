"""Owns how predictions do: held against what samples show, with what chance allows, and against another model's.

One more number is a field of `Score` and a line of `scoring`; what only follows from such fields is a property.
"""
