//! Routers that are asked over HTTP: what a server and a gateway have in common.

use std::future::Future;

use super::EngineError;
use super::protocol::{CacheStats, CancelToken, Progress, RouteRequest, RouterDescription};
use super::server::{Failure, Server};
use super::worker::{OnDecided, OnProgress, Requests, Router};
use crate::decision::Decision;

/// A kind of server that decides.
pub trait Service {
    /// What is said while it is asked.
    const ASKING: &'static str;

    /// Returns the server that is asked.
    fn server(&self) -> &Server;

    /// Returns what this router is.
    fn description(&self) -> &RouterDescription;

    /// Decides under the policy's own order and, where it is asked for, under others.
    fn decide_orders(&self, request: &RouteRequest) -> impl Future<Output = Result<Decision, Failure>>;
}

/// A [`Service`] as a router.
pub struct Served<S>(pub S);

impl<S: Service> Router for Served<S> {
    fn description(&self) -> RouterDescription {
        self.0.description().clone()
    }

    fn cache_stats(&self) -> CacheStats {
        CacheStats::default()
    }

    fn decide(&mut self, request: &RouteRequest, progress: OnProgress<'_>, cancel: &CancelToken) -> Result<Decision, EngineError> {
        progress(Progress { stage: S::ASKING, done: 0, total: None });
        let server = self.0.server();
        server.run(cancel, async { self.0.decide_orders(request).await.map_err(|failure| server.error(&failure)) })
    }

    fn decide_all(&mut self, requests: Requests<'_>, done: OnDecided<'_>, cancel: &CancelToken) -> Result<(), EngineError> {
        let service = &self.0;
        service.server().decide_all(requests, |request| async move { service.decide_orders(&request).await }, done, cancel)
    }
}
