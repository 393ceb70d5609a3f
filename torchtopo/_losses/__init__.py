"""Losses over 0-dimensional persistence: a file a loss, its function and its module beside it."""
