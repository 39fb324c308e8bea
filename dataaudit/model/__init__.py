"""What is minimised: blocks of rows, pointwise losses, linear models and torch modules, the objective."""
