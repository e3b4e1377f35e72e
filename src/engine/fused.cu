// Steps of a layer that candle's own operations take several passes over memory for. bf16 as its bits, so that no header is needed: this is compiled
// on the machine that runs it.

__device__ __forceinline__ float low(unsigned pair) { return __uint_as_float(pair << 16); }

__device__ __forceinline__ float high(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

// To the nearest, ties to even.
__device__ __forceinline__ unsigned narrowed(float x) {
    unsigned bits = __float_as_uint(x);
    if (x != x) return 0x7fc0u;
    return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

__device__ __forceinline__ float gated(float gate, float up) { return gate / (1.0f + expf(-gate)) * up; }

__device__ __forceinline__ unsigned gated_pair(unsigned gate, unsigned up) {
    return narrowed(gated(low(gate), low(up))) | narrowed(gated(high(gate), high(up))) << 16;
}

// silu(gate) * up, eight numbers a thread.
extern "C" __global__ void silu_mul(const uint4 *gate, const uint4 *up, uint4 *out, unsigned count) {
    unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    uint4 g = gate[at], u = up[at];
    out[at] = make_uint4(gated_pair(g.x, u.x), gated_pair(g.y, u.y), gated_pair(g.z, u.z), gated_pair(g.w, u.w));
}

// Adds the bias to rows of `2 * half` numbers, of which `rows_of_bias` follow each other, and turns the first half of each row against the second.
extern "C" __global__ void add_and_rotate(const unsigned short *x, const float *bias, const float *cosines, const float *sines, float *out,
                                          unsigned count, unsigned half, unsigned rows_of_bias) {
    unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    unsigned row = at / half, column = at % half;
    unsigned first = row * 2 * half + column, second = first + half;
    unsigned of_bias = row % rows_of_bias * 2 * half + column;
    float a = low(x[first]) + bias[of_bias], b = low(x[second]) + bias[of_bias + half];
    float cosine = cosines[at], sine = sines[at];
    out[first] = a * cosine - b * sine;
    out[second] = a * sine + b * cosine;
}

// The softmax of scores and mask together, a row for each warp. Rows come as products of a head of keys with a sequence, in these the heads of queries,
// in these `longest` tokens; the mask is the same for all heads.
extern "C" __global__ void masked_softmax(const float *scores, const float *seen, unsigned short *out, unsigned rows, unsigned keys, unsigned group,
                                          unsigned sequences, unsigned longest) {
    unsigned row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    unsigned token = row / (group * longest) % sequences * longest + row % longest;
    scores += (size_t)row * keys;
    seen += (size_t)token * keys;
    out += (size_t)row * keys;
    float top = __uint_as_float(0xff800000u);
    for (unsigned key = threadIdx.x; key < keys; key += 32) top = fmaxf(top, scores[key] + seen[key]);
    for (unsigned step = 16; step > 0; step /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, step));
    float sum = 0.0f;
    for (unsigned key = threadIdx.x; key < keys; key += 32) sum += expf(scores[key] + seen[key] - top);
    for (unsigned step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    float scale = 1.0f / sum;
    for (unsigned key = threadIdx.x; key < keys; key += 32) out[key] = (unsigned short)narrowed(expf(scores[key] + seen[key] - top) * scale);
}
