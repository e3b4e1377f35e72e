//! Vectorised loops that candle does not offer in one pass: exponentials, activation, softmax statistics.
//!
//! Each loop is plain Rust behind `pulp`'s dispatch, so one binary uses AVX2 or AVX-512 where the machine has them. The loops are types and
//! not closures: a closure that could be called twice goes through a function that the compiler may not inline, and then stays at SSE.

use pulp::{Arch, NullaryFnOnce};

/// Returns `e^x` for `x <= 0` with a relative error of about 1e-7: a range reduction to `2^n * e^r` and a polynomial for `|r| <= ln(2)/2`
/// (coefficients of Cephes `expf`). Written without branches so that it vectorises; arguments under -87 give 0.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln(2) in two parts, so that the reduction loses no bits.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x < -87.0 { -87.0 } else { x };
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer without a call.
    const ROUND: f32 = 12_582_912.0;
    let n = (clamped * LOG2_E + ROUND) - ROUND;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    let p = 1.987_569_1e-4_f32;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    let scale = f32::from_bits(((n as i32 + 127) << 23) as u32);
    if x < -87.0 { 0.0 } else { y * scale }
}

/// Replaces `values` by `e^(value - max)` and returns their sum.
#[inline(always)]
fn exp_minus(values: &mut [f32], max: f32) -> f32 {
    let mut sums = [0.0_f32; 16];
    let mut chunks = values.chunks_exact_mut(16);
    for chunk in &mut chunks {
        for (value, sum) in chunk.iter_mut().zip(&mut sums) {
            *value = exp(*value - max);
            *sum += *value;
        }
    }
    let mut sum = sums.iter().sum::<f32>();
    for value in chunks.into_remainder() {
        *value = exp(*value - max);
        sum += *value;
    }
    sum
}

#[inline(always)]
fn max_of(values: &[f32]) -> f32 {
    let mut maxima = [f32::NEG_INFINITY; 16];
    let mut chunks = values.chunks_exact(16);
    for chunk in &mut chunks {
        for (max, &value) in maxima.iter_mut().zip(chunk) {
            *max = if value > *max { value } else { *max };
        }
    }
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    maxima.into_iter().fold(rest, f32::max)
}

struct Softmax<'a> {
    row: &'a mut [f32],
}

impl NullaryFnOnce for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { row } = self;
        let max = max_of(row);
        let scale = 1.0 / exp_minus(row, max);
        for value in row {
            *value *= scale;
        }
    }
}

/// Turns one row of attention scores into weights that sum to 1, in place. An empty row stays empty.
pub fn softmax_in_place(arch: Arch, row: &mut [f32]) {
    arch.dispatch(Softmax { row });
}

/// Returns `silu(gate) * up`; `silu(x) = x / (1 + e^-x)`.
#[inline(always)]
fn gated(gate: f32, up: f32) -> f32 {
    // For negative gates e^gate / (1 + e^gate) keeps the exponential's argument negative.
    let e = exp(-gate.abs());
    let positive = gate / (1.0 + e);
    up * if gate < 0.0 { positive * e } else { positive }
}

struct SiluMul<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl NullaryFnOnce for SiluMul<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { gate, up, out } = self;
        for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
            *out = gated(gate, up);
        }
    }
}

/// Writes `silu(gate) * up` to `out`.
pub fn silu_mul(arch: Arch, gate: &[f32], up: &[f32], out: &mut [f32]) {
    arch.dispatch(SiluMul { gate, up, out });
}

struct SiluMulInPlace<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl NullaryFnOnce for SiluMulInPlace<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { gate, up } = self;
        for (gate, &up) in gate.iter_mut().zip(up) {
            *gate = gated(*gate, up);
        }
    }
}

/// Replaces `gate` by `silu(gate) * up`.
pub fn silu_mul_in_place(arch: Arch, gate: &mut [f32], up: &[f32]) {
    arch.dispatch(SiluMulInPlace { gate, up });
}

struct RmsNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl NullaryFnOnce for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { x, weight, eps, out } = self;
        let mut sums = [0.0_f32; 16];
        let mut chunks = x.chunks_exact(16);
        for chunk in &mut chunks {
            for (sum, value) in sums.iter_mut().zip(chunk) {
                *sum += value * value;
            }
        }
        let rest: f32 = chunks.remainder().iter().map(|value| value * value).sum();
        let scale = 1.0 / ((sums.iter().sum::<f32>() + rest) / x.len() as f32 + eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

/// Writes one row scaled to a root mean square of 1, times `weight`.
pub fn rms_norm(arch: Arch, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    arch.dispatch(RmsNorm { x, weight, eps, out });
}

/// What is needed of one row of logits: its largest entry and its normaliser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowStats {
    pub max: f32,
    /// Index of the largest logit; the first one where several are equal.
    pub argmax: u32,
    /// `ln(sum(e^logit))`: the log-probability of token `t` is `logits[t] - log_sum`.
    pub log_sum: f32,
}

impl RowStats {
    /// Returns the statistics of a row out of those of its parts, in order, each with the index of its first logit.
    pub fn joined(parts: impl Iterator<Item = (Self, u32)> + Clone) -> Self {
        let (mut max, mut argmax) = (f32::NEG_INFINITY, 0);
        for (part, first) in parts.clone() {
            if part.max > max {
                (max, argmax) = (part.max, first + part.argmax);
            }
        }
        let sum: f64 = parts.map(|(part, _)| f64::from(part.log_sum - max).exp()).sum();
        Self { max, argmax, log_sum: max + sum.ln() as f32 }
    }
}

struct Max<'a> {
    values: &'a [f32],
}

impl NullaryFnOnce for Max<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let Self { values } = self;
        max_of(values)
    }
}

struct ExpMinus<'a> {
    values: &'a mut [f32],
    max: f32,
}

impl NullaryFnOnce for ExpMinus<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let Self { values, max } = self;
        exp_minus(values, max)
    }
}

/// Returns the statistics of one row of logits, using `scratch` for the exponentials.
pub fn row_stats(arch: Arch, logits: &[f32], scratch: &mut Vec<f32>) -> RowStats {
    scratch.clear();
    scratch.extend_from_slice(logits);
    let max = arch.dispatch(Max { values: logits });
    let argmax = logits.iter().position(|&logit| logit == max).unwrap_or(0);
    // Summed in parts of 4096 so that a vocabulary of 150,000 costs no precision.
    let sum: f64 = scratch.chunks_mut(4096).map(|values| f64::from(arch.dispatch(ExpMinus { values, max }))).sum();
    RowStats { max, argmax: argmax as u32, log_sum: max + sum.ln() as f32 }
}

struct Rotate<'a> {
    row: &'a mut [f32],
    heads: usize,
    cos: &'a [f32],
    sin: &'a [f32],
}

impl NullaryFnOnce for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { row, heads, cos, sin } = self;
        let half = cos.len();
        for head in row.chunks_exact_mut(2 * half).take(heads) {
            let (low, high) = head.split_at_mut(half);
            for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                let (x, y) = (*low, *high);
                *low = x * cos - y * sin;
                *high = y * cos + x * sin;
            }
        }
    }
}

/// Rotates the first `heads` heads of one row by the angles of its position: the "rotate half" form of Qwen2.
///
/// `row` is head after head of `2 * cos.len()` values.
pub fn rotate_row(arch: Arch, row: &mut [f32], heads: usize, cos: &[f32], sin: &[f32]) {
    arch.dispatch(Rotate { row, heads, cos, sin });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_exact_to_float_rounding() {
        for step in 0..=200_000 {
            let x = -100.0 * step as f32 / 200_000.0;
            let (ours, std) = (exp(x), f64::from(x).exp() as f32);
            assert!((ours - std).abs() <= 4e-7 * std + 2e-38, "e^{x}: {ours} against {std}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
    }

    #[test]
    fn silu_matches_its_definition() {
        let gate: Vec<f32> = (-300..300).map(|i| i as f32 / 10.0).collect();
        let up: Vec<f32> = (0..600).map(|i| (i % 7) as f32 - 3.0).collect();
        let mut out = vec![0.0; gate.len()];
        silu_mul(Arch::new(), &gate, &up, &mut out);
        for ((out, gate), up) in out.iter().zip(&gate).zip(&up) {
            let expected = f64::from(*up) * f64::from(*gate) / (1.0 + (-f64::from(*gate)).exp());
            assert!((f64::from(*out) - expected).abs() < 1e-5, "silu({gate}) * {up}: {out} against {expected}");
        }
    }

    #[test]
    fn row_statistics_give_normalised_probabilities() {
        let logits: Vec<f32> = (0..10_001).map(|i| ((i * 7919) % 1000) as f32 / 100.0 - 5.0).collect();
        let stats = row_stats(Arch::new(), &logits, &mut Vec::new());
        let total: f64 = logits.iter().map(|&logit| f64::from(logit - stats.log_sum).exp()).sum();
        assert!((total - 1.0).abs() < 1e-5, "{total}");
        assert!(logits.iter().all(|&logit| logit <= logits[stats.argmax as usize]));
    }
}
