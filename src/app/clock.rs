//! The time of day for records.

use std::time::SystemTime;

/// Returns the present time as ISO 8601 in UTC, to the second.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
