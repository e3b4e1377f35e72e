//! Routers that are asked over HTTP: what a server and a gateway have in common.

use std::future::Future;

use futures_util::future::join_all;

use super::protocol::{CacheStats, CancelToken, Progress, RouteRequest, RouterDescription};
use super::server::{Failure, Server};
use super::worker::{OnDecided, OnProgress, Requests, Router};
use super::{EngineError, order_test};
use crate::decision::Decision;
use crate::policy::Route;

/// A kind of server that decides.
pub trait Service {
    /// What is said while it is asked.
    const ASKING: &'static str;

    /// Returns the server that is asked.
    fn server(&self) -> &Server;

    /// Returns what this router is.
    fn description(&self) -> &RouterDescription;

    /// Decides with the routes in one order.
    fn decide_order(&self, request: &RouteRequest, routes: &[&Route]) -> impl Future<Output = Result<Decision, Failure>>;
}

/// Decides under the policy's own order and, where it is asked for, under others, of which the server sees as many at once as it may.
async fn decide_orders<S: Service>(service: &S, request: &RouteRequest) -> Result<Decision, Failure> {
    let routes: Vec<&Route> = request.policy.routes.iter().collect();
    let mut decision = service.decide_order(request, &routes).await?;
    if request.orders > 0 {
        let mut orders = order_test::permutations(routes.len(), request.orders, request.seed);
        let mut others = Vec::new();
        loop {
            let together = orders.by_ref().take(service.server().limits().in_flight.max(1));
            let together: Vec<Vec<&Route>> = together.map(|order| order.into_iter().map(|index| routes[index]).collect()).collect();
            if together.is_empty() {
                break;
            }
            for other in join_all(together.iter().map(|order| service.decide_order(request, order))).await {
                others.push(other?);
            }
        }
        decision.order_stability = Some(order_test::summarise(&decision, &others));
    }
    Ok(decision)
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
        server.run(cancel, async { decide_orders(&self.0, request).await.map_err(|failure| server.error(&failure)) })
    }

    fn decide_all(&mut self, requests: Requests<'_>, done: OnDecided<'_>, cancel: &CancelToken) -> Result<(), EngineError> {
        let service = &self.0;
        service.server().decide_all(requests, |request| async move { decide_orders(service, &request).await }, done, cancel)
    }
}
