"""Data to learn from: the handwritten digits, files of tables, arrays and images, and samples held back."""

from .data import Data as Data
from .data import Scaling as Scaling
from .data import split as split
from .loading import digits as digits
from .loading import load as load
