"""Owns what there is to know of samples: reports, comparison and scores, and their JSON, contact sheet and HTML views.

Imports rooms up to `reading`. One more kind of report is a class in `reports`, with its facts, charts and JSON; one
more view is a module in `views` that takes findings and gives bytes. Text is shown by `cli.views`.
"""
