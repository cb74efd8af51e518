"""Owns how work is run: in this process or on others, until it is done, fails, or is stopped.

Imports `errors` alone. One more runner is one module with a function that passes the suite of runners.
"""
