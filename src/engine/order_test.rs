//! Deciding under seeded permutations of the routes: gateways feed them in an order nobody controls (hash maps).

use crate::decision::{Decision, OrderCount, OrderStability};
use crate::eval::SplitMix;

/// Yields `count` seeded permutations of `0..len`. Small sets repeat some of them; the same seed always gives the same orders.
pub fn permutations(len: usize, count: usize, seed: u64) -> impl Iterator<Item = Vec<usize>> {
    let mut random = SplitMix(seed);
    (0..count).map(move |_| {
        let mut order: Vec<usize> = (0..len).collect();
        for last in (1..len).rev() {
            order.swap(last, (random.bits() % (last as u64 + 1)) as usize);
        }
        order
    })
}

/// Counts how often `others`, made under other orders, differ from `own`.
pub fn summarise(own: &Decision, others: &[Decision]) -> OrderStability {
    let same = |a: &Decision, b: &Decision| (a.outcome, &a.route) == (b.outcome, &b.route);
    let changed = others.iter().filter(|other| !same(own, other)).count();
    let mut decisions: Vec<OrderCount> = Vec::new();
    for decision in std::iter::once(own).chain(others) {
        match decisions.iter_mut().find(|count| (count.outcome, &count.route) == (decision.outcome, &decision.route)) {
            Some(known) => known.count += 1,
            None => decisions.push(OrderCount { outcome: decision.outcome, route: decision.route.clone(), count: 1 }),
        }
    }
    decisions.sort_by_key(|count| std::cmp::Reverse(count.count));
    let orders = others.len();
    OrderStability { orders, changed, agreement: (orders + 1 - changed) as f64 / (orders + 1) as f64, decisions }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_and_repeatable() {
        let orders: Vec<Vec<usize>> = permutations(6, 50, 7).collect();
        assert_eq!(orders, permutations(6, 50, 7).collect::<Vec<_>>());
        assert_ne!(orders, permutations(6, 50, 8).collect::<Vec<_>>());
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
        }
        let firsts: std::collections::HashSet<usize> = orders.iter().map(|order| order[0]).collect();
        assert_eq!(firsts.len(), 6, "every route comes first in some order");
    }
}
