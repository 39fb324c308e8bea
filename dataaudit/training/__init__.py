"""From an encoded table to a trained model, its basis and regularisation chosen; or one adopted."""
