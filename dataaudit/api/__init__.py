"""What Python users call: the audits, and `Influence` for people with a matrix and a model."""
