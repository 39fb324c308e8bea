"""A network of the user's own on the rows of a table."""
