// Shared by all kernels: the size of a block, and loops that read ahead.
#define THREADS 256   // per block

// A thread handles U places together: it calls read(u, i) for all of them before use(u, i) for the first.
// So U loads overlap, instead of each waiting for memory in turn. Places are used in order, as in a plain loop.
template <int U, class Place, class Read, class Use>
__device__ inline void read_ahead(Place first, Place stride, Place end, Read read, Use use)
{
    for (Place i = first; i < end; i += U * stride) {
#pragma unroll
        for (int u = 0; u < U; u++)
            if (i + u * stride < end)
                read(u, i + u * stride);
#pragma unroll
        for (int u = 0; u < U; u++)
            if (i + u * stride < end)
                use(u, i + u * stride);
    }
}
