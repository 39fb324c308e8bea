"""`audit mismatch`: from mispredicted test rows to the training rows and slices responsible."""
