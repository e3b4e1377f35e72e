//! Temperature scaling of the shown probabilities (Guo et al. 2017, "On Calibration of Modern Neural Networks").
//!
//! A router that was fitted for it carries its temperature in `router.json`. Decisions are what greedy decoding writes and never change; only
//! how sure the router is said to be among the valid answers does.

use serde::Deserialize;

use super::EngineError;
use crate::decision::RouteProbability;

/// The contents of `router.json`.
#[derive(Deserialize)]
struct Calibrated {
    temperature: f64,
}

/// Reads the temperature out of `router.json`; `path` stands in messages.
///
/// # Errors
/// Fails on anything but a positive number.
pub fn temperature(path: &str, json: &[u8]) -> Result<f64, EngineError> {
    let fail = |what: String| EngineError::router(format!("{path}: {what}; write {{\"temperature\": 1.0}} or delete the file"));
    let Calibrated { temperature } = serde_json::from_slice(json).map_err(|error| fail(error.to_string()))?;
    if temperature.is_finite() && temperature > 0.0 { Ok(temperature) } else { Err(fail(format!("{temperature} is no temperature"))) }
}

/// Lets the valid answers share what they have together in proportion to `p^(1/T)`. What other text has stays as it is.
pub fn apply(temperature: f64, probabilities: &mut [RouteProbability]) {
    let total = probabilities.iter().map(|route| route.p).sum::<f64>();
    let best = probabilities.iter().map(|route| route.p).fold(0.0, f64::max);
    if best <= 0.0 {
        return;
    }
    // Relative to the best, whose share is then 1: tiny ones at a low temperature must not all round to nothing.
    probabilities.iter_mut().for_each(|route| route.p = (route.p / best).powf(temperature.recip()));
    let sum = probabilities.iter().map(|route| route.p).sum::<f64>();
    // Rounding may have put the sum of sure answers a little above 1.
    probabilities.iter_mut().for_each(|route| route.p *= total.min(1.0) / sum);
}
