//! From requests to prompts: a request that tests other orders of the routes is as many prompts, one after the other.

use super::order_test;
use super::protocol::RouteRequest;
use super::worker::Requests;
use crate::policy::Route;

/// One prompt of a request.
pub struct Ask {
    /// Position of the request among all.
    pub index: usize,
    pub request: RouteRequest,
    /// 0 for the policy's own order, then the permutations.
    pub order: usize,
    /// Whether no other prompt of the request comes after it.
    pub is_last: bool,
    /// The positions of the routes in their order; `None` for the policy's own.
    permutation: Option<Vec<usize>>,
}

impl Ask {
    /// Returns the routes in the order of this prompt.
    pub fn routes(&self) -> Vec<&Route> {
        let routes = &self.request.policy.routes;
        match &self.permutation {
            Some(permutation) => permutation.iter().map(|&index| &routes[index]).collect(),
            None => routes.iter().collect(),
        }
    }

    /// Returns their names.
    pub fn names(&self) -> Vec<&str> {
        self.routes().into_iter().map(|route| route.name.as_str()).collect()
    }
}

/// Yields the prompts of all requests; a request is taken when the first of its prompts is.
pub fn asks(requests: Requests<'_>) -> impl Iterator<Item = Ask> {
    requests.enumerate().flat_map(|(index, request)| {
        let routes = request.policy.routes.len();
        let last = order_test::tried(routes, request.orders);
        let others = order_test::permutations(routes, request.orders, request.seed).map(Some);
        let orders = std::iter::once(None).chain(others).enumerate();
        orders.map(move |(order, permutation)| Ask { index, request: request.clone(), order, is_last: order == last, permutation })
    })
}
