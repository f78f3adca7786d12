"""scikit-learn's multilayer perceptrons, trained by gpubp: the same parameters, attributes and results, on CPUs and GPUs."""

from importlib.util import find_spec

__all__ = ["MLPClassifier", "MLPRegressor"]

if find_spec("sklearn") is not None:
    from .mlp import MLPClassifier, MLPRegressor
else:   # help(gpubp) must work
    def __getattr__(name):
        if name in __all__:
            raise ImportError('gpubp.estimators needs scikit-learn, which is not installed: pip install "gpubp[sklearn]"')
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
