"""Owns the quiet of the server that workers come from, which alone imports this: its errors are reported by its client.

Where it cannot start a process it would print a traceback, and so would what it started.
"""

import sys

sys.excepthook = lambda *_: None
