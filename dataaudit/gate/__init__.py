"""The gate: rules over tables of facts, and the verdict on a dataset.

A rule is data (``rules/*.toml``): which table, which rows of it, what is measured, and the limit. A `Verdict`
(`dataaudit.findings.verdict`) has one `Outcome` a rule and dataset, with the rows and columns it names as
`Finding`; writers and the exit code read nothing else.

::

    config, settings       what is asked, by file, environment and command line
    cache ── check         a verdict that is known already, or data → facts → verdict
    data, identity         tables as the gate reads them, and who a row is
    base, git, matching    the accepted table, also of a revision, and which row is which there
    facts/                 what is known of the data before a rule looks at it
    rules, judge           packs of rules; one rule on one table
    baseline               findings that are accepted
    init, install          the files that make a project check its data, and what they install
"""
