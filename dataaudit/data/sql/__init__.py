"""A query on a database: what was asked, where it runs, and the drivers that read it."""
