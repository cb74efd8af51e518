"""Owns datasets: building, resuming, verifying, regenerating and repairing them, their manifest and their splits.

    request         what is asked becomes a spec
    build           making a dataset, finishing and repairing one: existing (what is there before), shards (what is done
                    to each), finish (what is joined, and the manifest that comes last)
    manifest        its metadata files, and the journal of a run
    card            README.md, which the hub shows and reads, and a picture; croissant: croissant.json
    verify          whether it is what its manifest says; regenerate, what its recipe makes
    splits, stream  several at once, and one that goes through a pipe

Imports rooms up to `formats`. What it does is written once, and holds for every format, store and runner.
"""
