"""Training rows changed within the user's own data until a prediction flips."""
