"""Owns datasets: building, resuming, verifying, regenerating and repairing them, their manifest and their splits.

    request         what is asked becomes a spec
    build           making a dataset, finishing and repairing one: existing (what is there before), shards (what is done
                    to each), finish (what is joined, and the manifest that comes last)
    manifest        its metadata files
    records         what each shard came out as, in the manifest and in the journals of runs and slices
    hub             what the hub and its readers find beside it: README.md, a picture, croissant.json
    verify          whether it is what its manifest says; regenerate, what its recipe makes
    splits          several at once
    estimate        what it would take

Imports rooms up to `formats`. What it does is written once, and holds for every format, store and runner.
"""
