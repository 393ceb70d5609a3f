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
from torchtopo._filtrations.rips import MST as MST
from torchtopo._filtrations.rips import deaths as deaths
from torchtopo._filtrations.rips import minimum_spanning_tree as minimum_spanning_tree
from torchtopo._filtrations.rips import persistence_diagram as persistence_diagram
from torchtopo._filtrations.rips import vietoris_rips_generators as vietoris_rips_generators
from torchtopo._filtrations.rips import vietoris_rips_pairs as vietoris_rips_pairs
from torchtopo._lengths import pair_distances as pair_distances
from torchtopo._losses.connectivity import connectivity_loss as connectivity_loss
from torchtopo._losses.densification import densification_loss as densification_loss
from torchtopo._losses.rtd_lite import RTDLiteBarcode as RTDLiteBarcode
from torchtopo._losses.rtd_lite import rtd_lite as rtd_lite
from torchtopo._losses.rtd_lite import rtd_lite_barcode as rtd_lite_barcode
from torchtopo._losses.signature import signature_loss as signature_loss
from torchtopo._losses.spread import spread_loss as spread_loss
from torchtopo._matched import matched_pairs as matched_pairs
from torchtopo._measures.curves import betti_curve as betti_curve
from torchtopo._measures.curves import silhouette as silhouette
from torchtopo._measures.persistence_image import persistence_image as persistence_image
from torchtopo._measures.ph_dimension import PHDimension as PHDimension
from torchtopo._measures.ph_dimension import ph_dimension as ph_dimension
from torchtopo._measures.single_linkage import cut as cut
from torchtopo._measures.single_linkage import single_linkage as single_linkage
from torchtopo._measures.summaries import persistent_entropy as persistent_entropy
from torchtopo._measures.summaries import total_persistence as total_persistence
from torchtopo._measures.wasserstein import wasserstein_distance as wasserstein_distance
