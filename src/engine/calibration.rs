//! Temperature scaling of the shown probabilities (Guo et al. 2017, "On Calibration of Modern Neural Networks").
//!
//! A router that was fitted for it carries its temperature in `router.json`. Decisions are what greedy decoding writes and never change; only
//! how sure the router is said to be does.

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

/// Replaces each probability, and the mass outside of them, by its share at this temperature: the softmax of `ln p / T`.
pub fn apply(temperature: f64, probabilities: &mut [RouteProbability], invalid_mass: &mut f64) {
    if temperature == 1.0 {
        return;
    }
    let scale = |p: &mut f64| *p = p.powf(temperature.recip());
    probabilities.iter_mut().for_each(|route| scale(&mut route.p));
    scale(invalid_mass);
    let sum = probabilities.iter().map(|route| route.p).sum::<f64>() + *invalid_mass;
    // All zero cannot be: they are shares of one. But rounding of tiny shares at a tiny temperature could make it so.
    if sum > 0.0 {
        probabilities.iter_mut().for_each(|route| route.p /= sum);
        *invalid_mass /= sum;
    }
}
