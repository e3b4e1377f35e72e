//! The only place that knows about models: from a router's files to a [`crate::decision::Decision`].

mod error;
mod protocol;
mod worker;

pub use error::EngineError;
pub use protocol::{
    CacheStats, CancelToken, DeviceChoice, Event, JobId, JobResult, Progress, RouteRequest, RouterDescription, RouterSource,
};
pub use worker::{Engine, Loader, OnProgress, Router};
