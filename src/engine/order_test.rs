//! Deciding under seeded permutations of the routes: gateways feed them in an order nobody controls (hash maps).

use std::collections::HashSet;

use crate::decision::{Decision, OrderCount, OrderStability};
use crate::eval::SplitMix;

/// Returns how many other orders of `len` routes are tried where `wanted` are asked for: no more than there are besides the policy's own.
pub fn tried(len: usize, wanted: usize) -> usize {
    (2..=len).try_fold(1, usize::checked_mul).map_or(wanted, |all| wanted.min(all - 1))
}

/// Yields [`tried`] seeded permutations of `0..len`, each once and never the policy's own order, which is decided already. The same seed
/// always gives the same orders.
pub fn permutations(len: usize, wanted: usize, seed: u64) -> impl Iterator<Item = Vec<usize>> {
    let mut random = SplitMix(seed);
    let own: Vec<usize> = (0..len).collect();
    let mut drawn = HashSet::from([own.clone()]);
    (0..tried(len, wanted)).map(move |_| {
        // Some order is left, so that one comes that is new.
        loop {
            let mut order = own.clone();
            for last in (1..len).rev() {
                order.swap(last, (random.bits() % (last as u64 + 1)) as usize);
            }
            if drawn.insert(order.clone()) {
                return order;
            }
        }
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
        let firsts: HashSet<usize> = orders.iter().map(|order| order[0]).collect();
        assert_eq!(firsts.len(), 6, "every route comes first in some order");
    }

    #[test]
    fn no_order_is_tried_twice_and_the_own_one_never() {
        for (len, wanted, tried) in [(0, 3, 0), (1, 3, 0), (2, 1, 1), (2, 50, 1), (3, 3, 3), (3, 50, 5), (4, 50, 23), (6, 50, 50)] {
            for seed in 0..20 {
                let orders: Vec<Vec<usize>> = permutations(len, wanted, seed).collect();
                assert!(orders.iter().all(|order| !order.is_sorted()), "{orders:?}");
                assert_eq!((orders.len(), orders.iter().collect::<HashSet<_>>().len()), (tried, tried), "{len} routes, {wanted} orders");
            }
        }
        assert_eq!(permutations(30, usize::MAX, 0).take(3).count(), 3, "made as they are needed");
    }
}
