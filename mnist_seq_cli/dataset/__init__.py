"""Owns datasets: building, resuming, verifying, regenerating and repairing them, their manifest and their splits.

    request         from a request to a spec
    build           making, finishing and repairing a dataset: existing (what was there before), shards (processing each
                    shard), finish (joining files, and the manifest, which is written last)
    manifest        the metadata files
    records         the result of each shard, in the manifest and in the journals of runs and slices
    hub             files for the hub and its readers: README.md, a picture, croissant.json
    verify          comparison with the manifest; regenerate, comparison with the recipe
    splits          several datasets at once
    estimate        the cost of a dataset

Imports rooms up to `formats`. Its code works with every format, store and runner.
"""
