"""One module per question: the story of its answer, from rows to findings."""
