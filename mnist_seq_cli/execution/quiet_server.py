"""Owns what the server that workers come from does beside its work: it is quiet, and takes its socket with it.

It alone imports this. Its errors are reported by its client: where it cannot start a process it would print a
traceback, and so would what it started. Its socket has a name where the client was killed in the act of starting it.
"""

import atexit
import sys
from multiprocessing import forkserver

from mnist_seq_cli.execution import fork_server

sys.excepthook = lambda *_: None
atexit.register(lambda: fork_server.remove(forkserver._forkserver._forkserver_address))  # type: ignore[attr-defined]
