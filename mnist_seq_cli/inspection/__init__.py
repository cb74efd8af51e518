"""Owns what there is to know of samples: facts, comparison and scores, and their text, JSON, sheet and HTML views.

Imports rooms up to `reading`. One more view is a module that takes a report and gives bytes or text.
"""
