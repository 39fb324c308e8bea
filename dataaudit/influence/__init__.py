"""What leaving a training row out, or changing it, does: to a loss, to a prediction, to a conclusion."""
