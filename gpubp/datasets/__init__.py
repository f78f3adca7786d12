"""Data sets: scikit-learn's digits, files of tables, arrays and images, scaling, and the validation split."""

from .data import Data, Scaling, split
from .loading import digits, load

__all__ = ["Data", "Scaling", "digits", "load", "split"]
