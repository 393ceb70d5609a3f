"""Measures of deaths and diagrams: numbers, curves, pictures and distances, all differentiable."""
