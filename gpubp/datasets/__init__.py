"""Data sets: scikit-learn's digits, files of tables, arrays and images, preprocessing, and the validation split."""

from .data import Data, Scaling, split
from .loading import digits, load
from .preprocessing import Preprocessing

__all__ = ["Data", "Preprocessing", "Scaling", "digits", "load", "split"]
