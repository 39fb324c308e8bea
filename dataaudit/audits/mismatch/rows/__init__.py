"""Suspects that are rows: slices, conjunctions, single rows, copies, class rates."""
