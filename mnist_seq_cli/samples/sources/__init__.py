"""Owns the sources of samples at a path, a module each."""
