"""Passes: pure functions Graph -> Graph, one per file, in the order of `pipeline.PASSES`."""
