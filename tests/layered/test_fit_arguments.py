"""The arguments of fit: wrong ones raise an error of one sentence, and nothing changes."""

import numpy as np
import pytest

from gpubp import SGD, ClipNorm, MaxNorm
from tests.layered import test_input_checks
from tests.layered.test_input_checks import NAN, X, Y, refuses

trained = test_input_checks.trained

OPTIONS = {   # keywords of fit
    "negative epochs": ({"epochs": -1}, "expected epochs >= 0, got -1"),
    "half an epoch": ({"epochs": 1.5}, "expected epochs >= 0"),
    "epochs in words": ({"epochs": "10"}, "expected epochs >= 0, got '10'"),
    "no batch": ({"batch_size": 0}, "expected batch_size from 1"),
    "a negative batch": ({"batch_size": -5}, "batch_size from 1"),
    "a float batch": ({"batch_size": 10.0}, "batch_size from 1 .*got 10.0"),
    "a batch larger than the data": ({"batch_size": 24}, r"batch_size from 1 to .*\(23\), got 24"),
    "a batch larger than the sample": ({"samples_per_epoch": 8, "batch_size": 10},
                                       r"batch_size from 1 to the number of samples of an epoch \(8\), got 10"),
    "a sample larger than the data": ({"samples_per_epoch": 24},
                                      r"expected samples_per_epoch from 1 to the number of training samples \(23\), got 24"),
    "no sample": ({"samples_per_epoch": 0}, "expected samples_per_epoch from 1"),
    "a patience of 0": ({"patience": 0, "validation": (X, Y)}, "patience >= 1"),
    "patience without validation": ({"patience": 3},
                                    r"expected validation=\(x, y\) with patience, got none: pass a validation set"),
    "an unknown monitor": ({"monitor": "loss"}, "expected monitor 'cost' or 'accuracy', got 'loss'"),
    "a fraction as validation": ({"validation": 0.2}, r"expected validation=\(x, y\)"),
    "an array as validation": ({"validation": X}, r"expected validation=\(x, y\)"),
    "half of a validation": ({"validation": (X,)}, r"expected validation=\(x, y\)"),
    "validation too wide": ({"validation": (X[:, :3], Y)}, "validation x: expected rows of 4 for layer 1"),
    "validation labels": ({"validation": (X, Y + 5)}, "validation y: expected labels from 0 to 1"),
    "nan in validation": ({"validation": (NAN, Y)}, "validation x: expected finite numbers"),
    "negative weights": ({"sample_weight": np.full(23, -1.0)}, "sample_weight: expected numbers >= 0, got -1.0"),
    "nan as weight": ({"sample_weight": np.full(23, np.nan)}, "sample_weight: expected finite numbers"),
    "too few weights": ({"sample_weight": np.ones(22)}, "sample_weight: expected one number for each of the 23 rows"),
    "weight columns": ({"sample_weight": np.ones((23, 1))}, "sample_weight: expected one number for each"),
    "weights in words": ({"sample_weight": ["1"] * 23}, "sample_weight: expected an array of real numbers"),
    "an unknown optimizer": ({"optimizer": "adagard"}, "unknown optimizer 'adagard': did you mean 'adagrad'"),
    "a number as optimizer": ({"optimizer": 0.1}, "expected optimizer by name or as an object"),
    "a class as optimizer": ({"optimizer": SGD}, "expected optimizer by name or as an object"),
    "an unknown argument": ({"optimizer": "sgd(momentun=0.9)"}, "cannot read optimizer.*momentun"),
    "no optimizer": ({"optimizer": []}, "then one optimizer"),
    "a transform without an optimizer": ({"optimizer": "l2(1.0)"}, "then one optimizer"),
    "two optimizers": ({"optimizer": "sgd(1.0), adam(1.0)"}, "one optimizer"),
    "the wrong order": ({"optimizer": [SGD(0.1), ClipNorm(1.0)]}, "in that order"),
    "max_norm first": ({"optimizer": [MaxNorm(1.0), SGD(0.1)]}, "in that order"),
    "a rate in words": ({"optimizer": "sgd('fast')"}, "(?i)rate"),
    "a callback that is none": ({"callbacks": [3]}, "callbacks to be functions"),
    "an unknown option": ({"batchsize": 3}, "batchsize")}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_fit(trained, name):
    options, match = OPTIONS[name]
    refuses(trained, match, lambda: trained.fit(X, Y, **options))
