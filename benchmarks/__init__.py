"""Benchmarks that make claims: ``python -m benchmarks`` runs them all, ``... NAME`` runs one."""
