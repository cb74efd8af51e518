"""Owns samples as a sequence, wherever they come from: a recipe, a dataset, a folder, an archive, MNIST itself.

Imports rooms up to `dataset`. One more source of samples is a module of `sources`
with a class of the interface `samples.Samples`, and a row in the registry.
"""
