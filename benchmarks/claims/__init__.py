"""Claims about the losses and measures, each written down before it is run: see README.md.

``python -m benchmarks.claims [NAME ...]`` runs them; a claim is a file here with a ``PLAN`` and a
function ``trial``.
"""

from .summary import NAMES, TABLES, plot, sentence

__all__ = ["NAMES", "TABLES", "plot", "sentence"]
