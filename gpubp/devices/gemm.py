"""The arguments of a column-major GEMM, as of cuBLAS and CBLAS, for products of row-major matrices."""

OP_N, OP_T = 0, 1   # as cuBLAS numbers them


def column_major(a, b, out):
    """The arguments transa, transb, m, n, k, lda, ldb, ldc for out := a b. A column-major GEMM sees each row-major matrix
    transposed. It therefore computes out^T := b^T a^T, with b as its first factor."""
    transa, lda = _layout("b", b)
    transb, ldb = _layout("a", a)
    trans, ldc = _layout("out", out)
    if trans != OP_N:
        raise ValueError("expected an out with rows of adjacent elements, got a transposed one: compute out.T := b.T a.T")
    sizes = out.shape[1], out.shape[0], a.shape[1], lda, ldb, ldc
    if max(sizes) >= 2**31:
        raise ValueError(f"expected sizes and strides below 2**31, got {max(sizes)}: use smaller batches")
    return transa, transb, *sizes


def _layout(name, matrix):
    """(OP_N or OP_T, leading dimension): the elements from one row to the next, or from one column to the next for OP_T."""
    (rows, columns), (down, right), item = matrix.shape, matrix.strides, matrix.dtype.itemsize
    for trans, count, length, step, unit in ((OP_N, rows, columns, down, right), (OP_T, columns, rows, right, down)):
        leading, rest = divmod(step, item) if count > 1 else (length, 0)
        if (unit == item or length == 1) and rest == 0 and leading >= length:
            return trans, leading
    raise ValueError(f"expected {name} with adjacent elements along rows or along columns, got strides {matrix.strides} of "
                     f"{item}-byte elements: pass a C-contiguous copy")
