"""Audits of labels by probabilities of a model that is not fitted here: ranking, counting and review."""
