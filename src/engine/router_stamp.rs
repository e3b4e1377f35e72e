//! Whether a router's files are still those that it was loaded from.

use std::path::PathBuf;
use std::time::SystemTime;

use super::load::router_files;
use super::protocol::RouterSource;

/// The files of a router at one moment: their places, sizes and times, which change with their contents. A router that is loaded stays what it
/// is when its files are replaced, and must not be taken for what they hold then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterStamp(Vec<(PathBuf, Option<(u64, SystemTime)>)>);

impl RouterStamp {
    /// Looks at the files that the router would be read from now.
    pub fn of(source: &RouterSource) -> Self {
        let stamp = |file: PathBuf| {
            let found = file.metadata().and_then(|metadata| Ok((metadata.len(), metadata.modified()?))).ok();
            (file, found)
        };
        Self(router_files(source).into_iter().map(stamp).collect())
    }
}
