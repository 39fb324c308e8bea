"""The gate: rules over tables of facts, and the verdict on a dataset.

A rule is data (``rules/*.toml``): which table, which rows of it, what is measured, and the limit. A `Verdict`
has one `Outcome` a rule and dataset, with the rows and columns it names as `Finding`; writers and the exit
code read nothing else.
"""
