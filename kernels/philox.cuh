// Random bits: Philox 4x64-10 of Salmon et al., 2011, as numpy.random.Philox computes it. The CPU's kernels include this file, too.
typedef unsigned long long Word;

struct Words {
    Word word[4];
};

__device__ inline Words philox(Words counter, Word key0, Word key1)
{
    Word* c = counter.word;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const Word low0 = 0xD2E7470EE14C6C93ull * c[0], high0 = __umul64hi(0xD2E7470EE14C6C93ull, c[0]);
        const Word low1 = 0xCA5A826395121157ull * c[2], high1 = __umul64hi(0xCA5A826395121157ull, c[2]);
        c[0] = high1 ^ c[1] ^ key0;
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ key1;
        c[3] = low0;
        key0 += 0x9E3779B97F4A7C15ull;
        key1 += 0xBB67AE8584CAA73Bull;
    }
    return counter;
}
