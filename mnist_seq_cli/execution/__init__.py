"""Owns how work is run: in this process or on others, until it is done, fails, or is stopped.

    runner          the contract: Runner, Failure, Stop
    serial          in this process; the specification of the others
    processes       on processes, any of which may die at any time
    fork_server     the start of the server that these come from
    quiet_server    what that server imports first
    cluster         on the workers of a Dask cluster, which may come and go
    local_cluster   the process that holds such a cluster on this machine
    runners         the names of runners, as `--runner` takes them

Imports `errors` alone. One more runner is one module with a function that has the signature of `Runner`; the suite in
tests/execution runs over it, and `dataset.build` takes it as `run`.
"""
