"""The losses and measures as modules, which keep their settings, and the scale that one learns."""

from torchtopo._losses.connectivity import ConnectivityLoss as ConnectivityLoss
from torchtopo._losses.densification import DensificationLoss as DensificationLoss
from torchtopo._losses.rtd_lite import RTDLite as RTDLite
from torchtopo._losses.signature import SignatureLoss as SignatureLoss
from torchtopo._losses.spread import SpreadLoss as SpreadLoss
from torchtopo._measures.curves import BettiCurve as BettiCurve
from torchtopo._measures.curves import Silhouette as Silhouette
from torchtopo._measures.persistence_image import PersistenceImage as PersistenceImage
from torchtopo._measures.summaries import PersistentEntropy as PersistentEntropy
from torchtopo._measures.summaries import TotalPersistence as TotalPersistence
from torchtopo._measures.wasserstein import WassersteinDistance as WassersteinDistance

__all__ = [
    "BettiCurve",
    "ConnectivityLoss",
    "DensificationLoss",
    "PersistenceImage",
    "PersistentEntropy",
    "RTDLite",
    "SignatureLoss",
    "Silhouette",
    "SpreadLoss",
    "TotalPersistence",
    "WassersteinDistance",
]
