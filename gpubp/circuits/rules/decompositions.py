"""VJP rules of matrix decompositions, and of what is computed through them: svd, eigh, qr, pinv and lstsq.

A function of eigenvalues or singular values only has its derivative everywhere; equal values share the gradient, and a singular
value of 0 has none, as abs at 0. The rules of vectors divide by the differences of values: at values that are equal within
rounding their gradients are NaN, and so are second derivatives. Sources: Giles, "Collected matrix derivative results for forward
and reverse mode algorithmic differentiation" (2008), for eigh; Townsend, "Differentiating the singular value decomposition"
(2016); Walter and Lehmann, "Algorithmic differentiation of linear algebra functions" (2010), for qr; Golub and Pereyra, "The
differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate" (1973), for pinv.
"""

from math import inf, nan, prod

import numpy as np

from ...devices.array_namespace import namespace
from ..custom_vjp import TupleCotangent, unpacked, with_zeros
from ..tape import Primitive, reads, unwrap
from ..wire import Wire, apply, as_function
from .numpys import as_array


def _rounding(values):
    """The size up to which a difference of values is rounding."""
    return 8.0 * float(np.finfo(values.dtype).eps) * np.sum(np.absolute(values), axis=-1, keepdims=True)


def _tied(values):
    """Which pairs of values are equal within rounding; each is so to itself."""
    values = unwrap(values)
    return np.absolute(values[..., :, None] - values[..., None, :]) <= _rounding(values)[..., None]


def _is_zero(values):
    return unwrap(values) <= _rounding(unwrap(values))


def _identity(values):
    return namespace(unwrap(values)).eye(values.shape[-1], dtype=values.dtype)


def _apart(values, gaps):
    """Pairwise differences to divide by: NaN for ties, infinite on the diagonal."""
    return np.where(_tied(values), np.where(_identity(values) == 1.0, inf, nan).astype(values.dtype), gaps)


def _shared(cotangent, values):
    """Equal values share their cotangents; small ones that differ, if only by rounding of the largest value, do not."""
    sizes = np.absolute(unwrap(values))
    equal = _tied(values) & (np.absolute(sizes[..., :, None] - sizes[..., None, :]) <= 1e-3 * sizes[..., None, :])
    weights = (equal / np.sum(equal, axis=-1, keepdims=True)).astype(values.dtype)
    return (weights @ np.expand_dims(cotangent, -1))[..., 0]


def _symmetric(x):
    return 0.5 * (x + x.mT)


_step = as_function(Primitive(   # 1, and 0 at a corner, where it has no derivative
    "step", lambda values, corner: np.where(corner, 0.0, 1.0).astype(values.dtype),
    reads("corner")(lambda cotangent, value, values, corner: cotangent * np.where(corner, nan, 0.0)),
    None, opaque=True))


# ---- eigenvalues


@reads("value", "a", "UPLO")
def _eigvalsh(cotangent, value, a, UPLO="L"):
    return _of_eigenvalues(cotangent, value, np.linalg.eigh(a, UPLO)[1])


def _of_eigenvalues(cotangent, values, vectors):
    return vectors * np.expand_dims(_shared(cotangent, values), -2) @ vectors.mT


def _eigh(cotangent, value, a, UPLO="L"):
    (of_values, of_vectors), (values, vectors) = cotangent, unpacked(value)
    if of_vectors is None:
        return _of_eigenvalues(of_values, values, vectors),
    inner = vectors.mT @ of_vectors / _apart(values, np.expand_dims(values, -2) - np.expand_dims(values, -1))
    if of_values is not None:
        inner = inner + np.expand_dims(of_values, -2) * _identity(values)
    return _symmetric(vectors @ inner @ vectors.mT),


# ---- singular values


def _of_singular_values(cotangent, u, s, vh):
    """The cotangent of a. At a singular value s of 0 it is 0, as for abs, unless the cotangent of s grows like 1 / s."""
    size = np.absolute(unwrap(cotangent))
    corner = _is_zero(s) & (size * unwrap(s) <= _rounding(size * unwrap(s))) & (
        (size > _rounding(size)) | (type(cotangent) is Wire))
    return u * np.expand_dims(_shared(cotangent, s) * _step(s, corner), -2) @ vh


def _svdvals(cotangent, value, a, compute_uv=False, hermitian=False):
    result = _of_singular_values(cotangent, *svd(a, False, hermitian=hermitian))
    return _symmetric(result) if hermitian else result


def _reduced(x, cotangent, k):
    """The first k orthonormal columns, and their cotangent: the others span what is left, so that they turn with these."""
    first, others = x[..., :k], x[..., k:]
    if cotangent is None or others.shape[-1] == 0:
        return first, cotangent
    return first, cotangent[..., :k] - others @ (cotangent[..., k:].mT @ first)


def _svd(cotangent, value, a, full_matrices=True, hermitian=False):
    (of_u, of_s, of_vh), (u, s, vh) = cotangent, unpacked(value)
    k = s.shape[-1]
    u, of_u = _reduced(u, of_u, k)
    v, of_v = _reduced(vh.mT, None if of_vh is None else of_vh.mT, k)
    if of_u is None and of_v is None:
        result = _of_singular_values(of_s, u, s, v.mT)
        return _symmetric(result) if hermitian else result,
    rows, columns = np.expand_dims(s, -1), np.expand_dims(s, -2)
    apart = _apart(s, (columns - rows) * (columns + rows))
    inner = 0.0 if of_s is None else np.expand_dims(of_s, -2) * _identity(s)
    inverse = 1.0 / np.where(_is_zero(s), nan, s).astype(s.dtype)
    outside = 0.0
    if of_u is not None:
        turned = u.mT @ of_u
        inner = inner + (turned - turned.mT) / apart * columns
        if u.shape[-2] > k:
            outside = (of_u - u @ turned) * np.expand_dims(inverse, -2) @ v.mT
    if of_v is not None:
        turned = v.mT @ of_v
        inner = inner + rows * ((turned - turned.mT) / apart)
        if v.shape[-2] > k:
            outside = u @ ((of_v - v @ turned) * np.expand_dims(inverse, -2)).mT
    result = u @ inner @ v.mT + outside
    return _symmetric(result) if hermitian else result,


_singular_values = as_function(Primitive("svdvals", np.linalg.svd, _svdvals))
_singular_vectors = Primitive("svd", np.linalg.svd, joint_vjp=_svd)


def svd(a, full_matrices=True, compute_uv=True, hermitian=False):
    options = {"hermitian": True} if hermitian else {}   # CuPy's svd does not know it
    if not compute_uv:
        return _singular_values(a, compute_uv=False, **options)
    return unpacked(apply(_singular_vectors, (a,), {"full_matrices": full_matrices, **options}))


# ---- QR


def _qr(cotangent, value, a, mode):
    q, r = unpacked(value)
    of_q, of_r = with_zeros(cotangent, (q, r))
    m, n = np.shape(a)[-2:]
    q, of_q = _reduced(q, of_q, min(m, n))
    r, of_r = r[..., :min(m, n), :], of_r[..., :min(m, n), :]
    of_rest = of_r[..., m:]   # columns beyond the square are r = q.T @ a
    of_q = of_q + a[..., m:] @ of_rest.mT
    r, of_r = r[..., :m], of_r[..., :m]
    size = np.absolute(unwrap(r))
    dependent = np.diagonal(size, 0, -2, -1) <= _rounding(size.mT)[..., 0]   # on the columns before
    r = np.where(np.any(dependent, axis=-1)[..., None, None], nan, r).astype(r.dtype)
    inner = r @ of_r.mT - of_q.mT @ q
    inner = np.tril(inner) + np.tril(inner, -1).mT
    result = np.linalg.solve(r, (of_q + q @ inner).mT).mT
    return np.concatenate([result, q @ of_rest], -1) if n > m else result,


def _qr_r(cotangent, value, a, mode):
    return _qr(TupleCotangent((None, cotangent)), np.linalg.qr(a), a, "reduced")[0]


_factors, _factor = Primitive("qr", np.linalg.qr, joint_vjp=_qr), Primitive("qr", np.linalg.qr, _qr_r)


def qr(a, mode="reduced"):
    if mode not in ("reduced", "complete", "r"):
        raise TypeError(f"qr: expected mode 'reduced', 'complete' or 'r' beside a wire, got {mode!r}: compute it from q and r")
    return unpacked(apply(_factor if mode == "r" else _factors, (a,), {"mode": mode}))


# ---- pseudo-inverse and least squares


@reads("value", "a")
def _pinv(cotangent, value, a, rcond=None, hermitian=False, rtol=np._NoValue):
    if hermitian:
        a = np.tril(a) + np.tril(a, -1).mT
    eps = float(np.finfo(value.dtype).eps)
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else max(np.shape(a)[-2:]) * eps if rtol is None else rtol
    s = np.linalg.svd(unwrap(a), compute_uv=False)
    kept = s > (rcond[..., None] if np.ndim(rcond) else rcond) * s[..., :1]
    unclear = kept == _is_zero(s)   # more than rounding is cut off, or rounding is inverted
    back, onto = cotangent.mT @ value @ value.mT, value.mT @ value @ cotangent.mT
    result = (back - a @ (value @ back)) + (onto - onto @ value @ a) - value.mT @ cotangent @ value.mT
    result = result * np.where(np.any(unclear, axis=-1)[..., None, None], nan, 1.0).astype(value.dtype)   # in each direction
    return _symmetric(result) if hermitian else result


_pseudo_inverse = as_function(Primitive("pinv", np.linalg.pinv, _pinv))


def pinv(a, rcond=None, hermitian=False, *, rtol=np._NoValue):
    given = {"rcond": as_array(rcond, a), "hermitian": hermitian or None}
    options = {name: x for name, x in given.items() if x is not None}   # CuPy's pinv knows rcond only
    return _pseudo_inverse(a, **options) if rtol is np._NoValue else _pseudo_inverse(a, **options, rtol=as_array(rtol, a))


def _lstsq(cotangent, value, a, b, rcond=None):
    (of_x, of_residuals, _, of_s), (x, residuals, _, _) = cotangent, unpacked(value)
    eps, columns = float(np.finfo(x.dtype).eps), (np.shape(b)[0], prod(np.shape(b)[1:]))
    rcond = eps * max(np.shape(a)) if rcond is None else max(rcond, eps)
    of_a, of_b, x, right = np.zeros_like(a), np.zeros_like(b), np.reshape(x, (np.shape(a)[1], columns[1])), np.reshape(b, columns)
    if of_x is not None:
        inverse, of_x = np.linalg.pinv(a, rcond), np.reshape(of_x, x.shape)
        of_a = _pinv(of_x @ right.mT, inverse, a, rcond)
        of_b = inverse.mT @ of_x
    if of_residuals is not None and np.size(residuals):
        slope = 2.0 * of_residuals * (right - a @ x)
        of_a, of_b = of_a - slope @ x.mT, np.reshape(of_b, columns) + slope
    if of_s is not None:
        of_a = of_a + _of_singular_values(of_s, *svd(a, False))
    return of_a, np.reshape(of_b, np.shape(b))


_least_squares = Primitive("lstsq", np.linalg.lstsq, joint_vjp=_lstsq)
_eigenvectors = Primitive("eigh", np.linalg.eigh, joint_vjp=_eigh)

EIGENVALUES = {np.linalg.eigvalsh: (_eigvalsh, None)}
DECOMPOSITIONS: dict = {
    np.linalg.svd: svd, np.linalg.svdvals: lambda x, /: svd(x, compute_uv=False), np.linalg.qr: qr, np.linalg.pinv: pinv,
    np.linalg.eigh: lambda a, UPLO="L": unpacked(apply(_eigenvectors, (a,), {"UPLO": UPLO})),
    np.linalg.lstsq: lambda a, b, rcond=None: unpacked(apply(_least_squares, (as_array(a), as_array(b)), {"rcond": rcond})),
}
