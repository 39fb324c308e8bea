"""What may have happened to a column between training and test, with the fixes that undo it."""
