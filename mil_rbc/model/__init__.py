"""The classifier and the loss it is trained by."""
