//! Whether memory suffices: for a router before its weights are read, and for the prefix cache, which gives way before there is none left.

use super::EngineError;

/// Memory that is left to everything else, in bytes.
const RESERVE: u64 = 512 << 20;

/// Returns the budget of a cache that may take `most` bytes and holds `kept`, where `available` more are free.
pub fn budget(most: u64, kept: u64, available: u64) -> u64 {
    most.min((kept + available).saturating_sub(RESERVE))
}

/// Checks that weights of so many bytes find room in the `available` ones.
///
/// # Errors
/// Fails with both numbers and the way out.
pub fn check_room(router: &str, weights: u64, available: u64) -> Result<(), EngineError> {
    if weights <= available {
        return Ok(());
    }
    let gb = |bytes: u64| bytes as f64 / 1e9;
    Err(EngineError::router(format!(
        "{router}: its weights take {:.1} GB of memory and {:.1} GB are available; choose a smaller router or quantisation, or close other programs",
        gb(weights),
        gb(available)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_way_and_comes_back() {
        const MB: u64 = 1 << 20;
        assert_eq!(budget(512 * MB, 300 * MB, 4096 * MB), 512 * MB);
        assert_eq!(budget(512 * MB, 300 * MB, 412 * MB), 200 * MB, "the reserve is made up from what the cache holds");
        assert_eq!(budget(512 * MB, 300 * MB, 0), 0);
    }

    #[test]
    fn a_router_that_does_not_fit_is_refused_with_both_numbers() {
        assert!(check_room("router", 1_000, 1_000).is_ok());
        let sentence = check_room("big.gguf", 6_200_000_000, 4_100_000_000).unwrap_err().to_string();
        assert!(sentence.contains("big.gguf") && sentence.contains("6.2 GB") && sentence.contains("4.1 GB"), "{sentence}");
    }
}
