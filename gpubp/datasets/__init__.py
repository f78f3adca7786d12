"""Data sets: scikit-learn's digits, files of tables, arrays and images, scaling, and the validation split."""

from .data import Data as Data
from .data import Scaling as Scaling
from .data import split as split
from .loading import digits as digits
from .loading import load as load
