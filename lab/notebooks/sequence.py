"""Steps in order, as the notebooks draw them."""

from zt.sequence import sequence

__all__ = ["sequence"]
