//! Whether a difference between two runs over the same cases is more than chance.

use serde::Serialize;

use super::random::SplitMix;

/// The exact McNemar test: of the turns that only one of two runs decides right, how many each has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct McNemar {
    /// Turns that the first run decides right and the second does not.
    pub b: usize,
    /// Turns that the second run decides right and the first does not.
    pub c: usize,
    /// Two-sided: how often chance alone would split them at least as unevenly; 1 where there are none.
    pub p: f64,
}

impl McNemar {
    /// Returns the probability for people: `p = 0.013`.
    pub fn p_words(&self) -> String {
        // Two significant digits: more would claim to know.
        match self.p {
            p if p < 0.001 => "p < 0.001".to_owned(),
            // Near the level a third one says on which side of it this is.
            p if p < 0.01 || (0.0495..0.0505).contains(&p) => format!("p = {p:.4}"),
            p if p < 0.1 => format!("p = {p:.3}"),
            p => format!("p = {p:.2}"),
        }
    }
}

/// Runs the exact test: under chance each of the `b + c` turns falls to either side like a coin.
pub fn mcnemar(b: usize, c: usize) -> McNemar {
    let n = (b + c) as f64;
    // Binomial terms by their ratio, as logarithms: 2^-n is no float for large n.
    let mut term = -n * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=b.min(c) {
        tail += term.exp();
        term += ((n - k as f64) / (k as f64 + 1.0)).ln();
    }
    McNemar { b, c, p: if b == c { 1.0 } else { (2.0 * tail).min(1.0) } }
}

/// Runs the exact sign test over conversations: `b` are those in which the first run decides more turns right than the second, `c` those in
/// which the second does. However many turns they have, few conversations cannot pass it; the bootstrap's interval is too narrow for few.
/// Conversations that are not whole are left out: their other turns may turn the balance.
pub(super) fn sign_test(clusters: &[Cluster]) -> McNemar {
    let count = |wanted: fn(i64) -> bool| clusters.iter().filter(|cluster| cluster.is_whole && wanted(cluster.gain)).count();
    mcnemar(count(|gain| gain < 0), count(|gain| gain > 0))
}

/// Turns of one conversation: how many, and by how many more the second run decides right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cluster {
    pub turns: usize,
    pub gain: i64,
    /// Whether both runs have a result for each of its labelled turns.
    pub is_whole: bool,
}

/// Returns the 95 % percentile interval of the difference in agreement, resampling whole conversations: turns of one conversation are right
/// and wrong together, so they are not as many observations as they look. `[-1, 1]` without conversations.
pub(super) fn bootstrap(clusters: &[Cluster], seed: u64) -> ([f64; 2], usize) {
    if clusters.is_empty() {
        return ([-1.0, 1.0], 0);
    }
    // Large sets need fewer resamples for the same precision, and should not cost minutes.
    let resamples = (200_000_000 / clusters.len()).clamp(1_000, 10_000);
    let mut random = SplitMix(seed);
    let mut differences: Vec<f64> = (0..resamples)
        .map(|_| {
            let (mut turns, mut gain) = (0, 0);
            for _ in 0..clusters.len() {
                let drawn = clusters[random.below(clusters.len())];
                turns += drawn.turns;
                gain += drawn.gain;
            }
            gain as f64 / turns.max(1) as f64
        })
        .collect();
    differences.sort_by(f64::total_cmp);
    ([super::percentile(&differences, 0.025), super::percentile(&differences, 0.975)], resamples)
}
