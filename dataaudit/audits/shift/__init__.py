"""How training and test rows differ: columns, labels, duplicates, and the two-sample test over all."""
