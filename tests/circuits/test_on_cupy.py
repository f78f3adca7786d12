"""Circuits on CuPy's own arrays: each rule, dtype and index gives the same as on NumPy's, or an error with a remedy.

They run where CuPy finds a device, of a GPU or emulated (tests/README.md).
"""

import operator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

import gpubp
from gpubp.circuits.pytree import leaves, mapped
from gpubp.circuits.tape import SPECIAL
from tests import circuit_cases
from tests.beside_numpy import assert_like_numpys, moved, opened, pulled, twice
from tests.circuits.test_edges import BLOCK, INDICES
from tests.circuits.test_rules import FUNCTIONS, Call, naming_the_case
from tests.launches import unsupported
from tests.rule_cases import CASES

each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=FUNCTIONS.get)
BOUNDS = {"float64": 1e-12, "float32": 3e-5, "float16": 2e-2}

# options that CuPy's own functions lack
REDUCTIONS = (np.sum, np.nansum, np.mean, np.prod, np.var, np.std, np.max, np.min, np.amax, np.amin,
              np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin)
SIGNS = np.linalg.svd, np.linalg.eigh, np.linalg.eigvalsh, np.linalg.qr
LACKING = {**{function: {"where", "initial"} for function in REDUCTIONS}, np.reshape: {"shape"}, np.linalg.cholesky: {"upper"},
           np.linalg.svd: {"hermitian"}, np.linalg.pinv: {"hermitian", "rtol"},
           np.quantile: {"weights"}, np.percentile: {"weights"}}


@pytest.fixture(params=["cuda"])
def cuda(request):
    with opened(request.param) as ops:
        yield ops


# ---- rules


@contextmanager
def without_unsupported():
    """Skip what the emulated libraries do not compute."""
    try:
        yield
    except Exception as error:
        if not unsupported(error):
            raise
        pytest.skip("the emulated cuSOLVER or cuFFT does not compute it")


def refused(call):
    """Whether the call is refused on NumPy."""
    try:
        gpubp.vjp(call, *call.given)
    except TypeError:
        return True
    return False


@each_function
@pytest.mark.parametrize("dtype", BOUNDS)
def test_rules_agree_with_numpy(function, dtype, cuda):
    for case in CASES[function]:
        plain, call = Call(function, case, dtype), Call(function, case, dtype, cuda)
        with without_unsupported(), naming_the_case(case):
            if LACKING.get(function, set()) & set(case.options):
                with pytest.raises(TypeError, match=r"expected no [a-z]+= beside arrays of cupy, whose function does not"):
                    gpubp.vjp(call, *call.given)
            elif dtype == "float16" and function.__module__ == "numpy.linalg" and refused(plain):
                if function in (np.linalg.eigh, np.linalg.eigvalsh):   # which CuPy computes in float32
                    continue
                with pytest.raises(TypeError, match="float16"):
                    gpubp.vjp(call, *call.given)
            elif function in SIGNS:   # those of the vectors are the solver's
                gpubp.check_grads(call, call.given, order=2 if dtype == "float64" else 1)
            else:
                for derive in (pulled, twice) if dtype == "float64" else (pulled,):
                    with without_unsupported():
                        assert_like_numpys(cuda, call, call.given, plain, plain.given, BOUNDS[dtype], derive)


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_special_functions(name, dtype, cuda):
    special = pytest.importorskip("scipy.special", reason='SciPy is not installed: pip install "gpubp[peers]"')
    from cupyx.scipy import special as cupys
    for case in circuit_cases.SPECIAL[name]:
        plain, call = Call(getattr(special, name), case, dtype), Call(getattr(cupys, name), case, dtype, cuda)
        if type(call.given[0]) is not float:
            assert_like_numpys(cuda, call, call.given, plain, plain.given, 10 * BOUNDS[dtype])
            if name == "erf":
                assert_like_numpys(cuda, gpubp.erf, call.given, plain, plain.given, 10 * BOUNDS[dtype])


@each_function
def test_single_numbers_stand_beside_arrays(function, cuda):
    """Python floats multiply an array, so that their gradients are sums over it."""
    beside = np.array([0.5, 2.0])
    for case in CASES[function]:
        call = Call(function, case)
        if call.given and all(type(x) is float for x in call.given) and np.ndim(call(*call.given)) == 0:
            for derive in pulled, twice:
                expected, found = (derive(lambda *given, call=call, y=y: call(*given) * np.sum(y), *call.given)
                                   for y in (beside, moved(cuda, beside)))
                assert all(type(one) is float for one in found[1])
                for one, other in zip(leaves(found), leaves(expected), strict=True):
                    np.testing.assert_allclose(getattr(one, "get", lambda one=one: one)(), other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("run", [operator.mul, operator.truediv, operator.pow, np.maximum], ids=lambda run: run.__name__)
@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_dtypes_are_promoted_as_numpys_are(run, kind, cuda):
    x = np.array([0.5, 1.5, 2.5], kind)
    others = [np.array([1, 2, 3]).astype(dtype) for dtype in ("bool", "int8", "int32", "int64", "float16", "float32", "float64")]
    others += [2, 2.0, True, np.float64(2.0), np.float32(2.0), np.float16(2.0), np.int64(2), np.bool_(True)]
    for y in others:
        y_there = moved(cuda, y)
        for f, there in ((lambda x, y=y: run(x, y), lambda x, y=y_there: run(x, y)),
                         (lambda x, y=y: run(y, x), lambda x, y=y_there: run(y, x))):
            with naming_the_case((run, y)):
                assert_like_numpys(cuda, there, [moved(cuda, x)], f, [x], 2 * BOUNDS["float16"])


# ---- indices, orders, ties


@pytest.mark.parametrize("where", ["host", "device"])
@pytest.mark.parametrize("name", INDICES)
def test_indices_add_up_where_they_repeat(name, where, cuda):
    index = INDICES[name]
    there = index
    if where == "device":
        there = mapped(lambda part: moved(cuda, part), index) if type(index) is tuple else moved(cuda, index)
    for derive in pulled, twice:
        assert_like_numpys(cuda, lambda x: x[there] ** 2, [moved(cuda, BLOCK)], lambda x: x[index] ** 2, [BLOCK], derive=derive)


@pytest.mark.parametrize("index", [[0, 2], [[0], [-3]], np.array([1, 2]), [np.int64(1), np.int64(2)], np.s_[:, [0, 3]],
                                   np.s_[..., [4]],
                                   np.s_[None, 1, :, [-5]], np.s_[..., np.array([7]), None, :],
                                   2, np.s_[0, 3], np.s_[BLOCK[..., 0] > 0, [4]], np.s_[(BLOCK[..., 0] > 0).tolist(), [4]]])
def test_host_indices_out_of_range_are_refused(index, cuda):
    with pytest.raises(IndexError):
        BLOCK[index]
    with pytest.raises(IndexError):
        gpubp.vjp(lambda x: x[index], moved(cuda, BLOCK))


def test_device_indices_out_of_range_wrap_forward_and_back(cuda):
    """CuPy does not check them, as that would wait for the device: the gradient goes where the value came from."""
    index = moved(cuda, np.array([5, -7, 1]))
    for take in (lambda x: x[index], lambda x: np.take(x, index), lambda x: np.take_along_axis(x, index, 0)):
        value, found = gpubp.value_and_grad(lambda x, take=take: np.sum(take(x) * moved(cuda, np.array([1.0, 10.0, 100.0]))))(
            moved(cuda, np.array([1.0, 2.0, 3.0, 4.0])))
        assert float(value) == 222.0
        np.testing.assert_array_equal(cuda.to_numpy(found), [0.0, 111.0, 0.0, 0.0])


NAN = np.array([[1.0, np.nan, 2.0, 1.0], [3.0, -np.inf, 3.0, np.nan], [0.0, -0.0, np.inf, np.inf]])
TIES = np.array([[1.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 3.0], [-1.0, 1.0, -1.0, 1.0]])
ORDERS = {
    **{name: getattr(np, name) for name in ("max", "min", "ptp", "nansum", "absolute", "sign", "nan_to_num")},
    **{f"{name} of rows": partial(getattr(np, name), axis=1) for name in ("max", "min", "ptp")},
    **{name: lambda x, name=name: getattr(np, name)(x, x[:, ::-1]) for name in ("maximum", "minimum", "fmax", "fmin", "hypot")},
    "clip": lambda x: np.clip(x, 0.0, 2.0), "std": partial(np.std, axis=1),
    "norm": lambda x: np.linalg.norm(x, axis=1), "cumprod": partial(np.cumprod, axis=1), "prod": partial(np.prod, axis=1),
    "inf-norm": lambda x: np.linalg.norm(x, np.inf, axis=1), "logsumexp": partial(gpubp.logsumexp, axis=1),
    "argmax": lambda x: x * np.argmax(x), "where": lambda x: np.where(
        x > 0, x, 0.0), "power": lambda x: x ** 2.0 + np.power(x, x * 0.0)}


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("x", [NAN, TIES, np.zeros((2, 3)), TIES * 0.0 + np.nan], ids=["NaN", "ties", "zeros", "all NaN"])
def test_ties_orders_and_corners_are_numpys(name, x, cuda):
    f = ORDERS[name]
    for derive in pulled, twice:
        assert_like_numpys(cuda, f, [moved(cuda, x)], f, [x], derive=derive)


PICKS = {"sort": lambda x, k: np.sort(x, axis=None)[k], "partition": lambda x, k: np.partition(np.ravel(x), k)[k],
         "sorted rows": lambda x, k: np.sort(np.reshape(x, (1, -1)), axis=1)[0, k],
         "argsort": lambda x, k: np.take(x, np.argsort(np.ravel(x))[k])}


@pytest.mark.parametrize("name", PICKS)
@pytest.mark.parametrize("x", [NAN, TIES], ids=["NaN", "ties"])
def test_in_an_order_one_of_the_equal_numbers_gets_the_gradient(name, x, cuda):
    """NumPy leaves open which one, and its answer differs between processors."""
    for k in range(x.size):
        value, found = gpubp.value_and_grad(lambda x, k=k: PICKS[name](x, k))(moved(cuda, x))
        np.testing.assert_array_equal(cuda.to_numpy(value), np.sort(x, axis=None)[k])
        np.testing.assert_array_equal(np.sort(cuda.to_numpy(found), axis=None), [0.0] * (x.size - 1) + [1.0])
        np.testing.assert_array_equal(x[cuda.to_numpy(found) == 1.0], cuda.to_numpy(value))


@pytest.mark.parametrize("x", [TIES, TIES[:, :3], TIES[:1] * 0.0], ids=["even", "odd", "zeros"])
def test_a_median_divides_the_gradient_among_the_middle_numbers(x, cuda):
    value, found = gpubp.value_and_grad(np.median)(moved(cuda, x))
    middle = np.sort(x, axis=None)[(x.size - 1) // 2:x.size // 2 + 1]
    assert cuda.to_numpy(value) == np.median(x) and np.sum(cuda.to_numpy(found)) == 1.0
    assert np.all(np.isin(x[cuda.to_numpy(found) != 0.0], middle))


@pytest.mark.parametrize("f", [np.max, np.min, np.ptp, partial(np.max, axis=0), np.argmax])
def test_extremes_of_no_numbers_are_refused(f, cuda):
    for x in (np.zeros(0), moved(cuda, np.zeros(0))):
        with pytest.raises(ValueError, match=r"zero-size|empty"):
            gpubp.vjp(f, x)
