"""Owns what the hub and its readers find beside a dataset: its card and picture, and croissant.json."""
