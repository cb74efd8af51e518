"""Owns the sources of samples that no recipe makes, a module each: images, folders, archives, arrays, MNIST itself.

One more is a module with a class of the interface `Samples`, and a row in `registry.open_samples`.
"""
