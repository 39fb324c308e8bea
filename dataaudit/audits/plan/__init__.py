"""What an audit of labels would take, before anything runs."""
