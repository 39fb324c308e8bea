"""What an audit found, as tables of facts: schemas, provenance, verdicts, and their folder."""
