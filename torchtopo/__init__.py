"""Differentiable 0-dimensional Vietoris–Rips persistence for PyTorch: exact, batched, fast."""

try:
    from torchtopo import _C as _C
except ImportError as _error:
    from torchtopo._missing import why

    raise ImportError(why(_error), name="torchtopo") from None

from torchtopo import nn as nn
from torchtopo._bags import pack as pack
from torchtopo._config import __version__ as __version__
from torchtopo._config import show_config as show_config
from torchtopo._distances import pair_distances as pair_distances
from torchtopo._losses.signature import signature_loss as signature_loss
from torchtopo._matched import matched_pairs as matched_pairs
from torchtopo._pairs import MST as MST
from torchtopo._pairs import deaths as deaths
from torchtopo._pairs import minimum_spanning_tree as minimum_spanning_tree
from torchtopo._pairs import persistence_diagram as persistence_diagram
from torchtopo._pairs import vietoris_rips_generators as vietoris_rips_generators
from torchtopo._pairs import vietoris_rips_pairs as vietoris_rips_pairs
