"""The losses as modules."""

from torchtopo._losses.signature import SignatureLoss as SignatureLoss

__all__ = ["SignatureLoss"]
