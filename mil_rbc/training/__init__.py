"""Trials: what they are, how one is trained and tested, how many run side by side."""
