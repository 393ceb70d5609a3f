"""Filtrations, a file each: their pairs, deaths and diagrams."""
