"""Owns how options are declared: their kinds, their bounds, and how their values are written as text."""
