"""The tests of this folder need scikit-learn: importing the folder skips them without it."""

from tests.conftest import needs

needs("sklearn")
