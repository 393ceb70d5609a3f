"""Bags of cells: what they are, how they are kept, dealt to folds, read and cut."""
