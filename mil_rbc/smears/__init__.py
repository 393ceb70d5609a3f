"""Synthetic smears: what a cohort is made of, and how its images are rendered."""
