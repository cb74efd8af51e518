"""Owns where the files of a dataset are, and how they are committed: whole or not at all.

    store           what a store is: names and bytes, and a few abilities
    local           the file operations on this machine that commit
    local_store     a directory on this machine
    memory          a store in memory
    object_store    a prefix of a bucket of S3, Google Cloud Storage, Azure; object_client, how these are reached
    overlap         requests that are made at the same time
    location        the one place where a path is parsed

Imports `errors` alone. One more store is one module with a class that has the methods of `Store`; the suite in
tests/storage runs over it.
"""
