"""`explain`: the training rows behind one prediction, and the smallest set that flips it."""
