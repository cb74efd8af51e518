"""Owns what the samples of a recipe are: recipe and bank to batches. Pure: arrays in, arrays out.

Imports rooms up to `mnist`. One more step is a module named as the part of the recipe that it draws.
"""
