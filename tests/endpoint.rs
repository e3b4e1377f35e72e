//! Routers behind a server: what is sent, how answers are read, and what happens when servers misbehave.

mod command_line;
mod gateway;
mod measuring;
mod openai;

use std::time::Duration;

use waypost::chat::Conversation;
use waypost::engine::{CancelToken, DeviceChoice, EngineError, Limits, RouteRequest, Router, RouterSource, open_router};
use waypost::policy::{DialectId, Policy, Route};

/// Short pauses, so that tries follow each other at once.
const LIMITS: Limits =
    Limits { in_flight: 4, timeout: Duration::from_secs(20), attempts: 3, pause: Duration::from_millis(1), with_key: false };

fn open(router: &str, limits: Limits) -> Result<Box<dyn Router>, EngineError> {
    let source: RouterSource = router.parse().unwrap();
    open_router(&source.with_limits(limits), DeviceChoice::Auto, &mut |_| {}, &CancelToken::default())
}

fn policy() -> Policy {
    let route = |name: &str, model: &str| Route { models: vec![model.to_owned()], ..Route::new(name, format!("All about {name}")) };
    Policy {
        routes: vec![route("billing", "m/small"), route("bugs", "m/large")],
        fallback: Some("m/fallback".to_owned()),
        ..Policy::default()
    }
}

/// A request to be decided under other orders too, of routes that have more than a number can count.
fn in_orders(orders: usize, text: &str) -> RouteRequest {
    let mut policy = policy();
    policy.routes.extend((0..28).map(|number| Route::new(format!("topic_{number}"), "")));
    RouteRequest { orders, ..RouteRequest::new(policy, Conversation::from_prompt(text), DialectId::Archgw031) }
}

fn request(text: &str) -> RouteRequest {
    RouteRequest::new(policy(), Conversation::from_prompt(text), DialectId::Archgw031)
}
