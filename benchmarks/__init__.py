"""Benchmarks that make claims: ``python -m benchmarks`` runs them all, ``... NAME`` runs one."""

import os

# One thread for every library: read once, when each of them is first imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
