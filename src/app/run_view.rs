//! A run with everything that is shown of it, computed once for each version of the run, away from the drawing thread.

use std::sync::Arc;

use crate::eval::{Figures, RoutePair, Run, figures, overlap};

/// Cases that are shown of each pair of routes.
const SHOWN: usize = 12;

/// A run and its figures.
#[derive(Clone, Debug)]
pub struct RunView {
    pub run: Arc<Run>,
    pub figures: Figures,
    /// Label, decision and count of the cells of the confusion matrix that are not empty; confusions first, the frequent ones before the others.
    pub cells: Vec<(usize, usize, usize)>,
    /// Cases of each row of the confusion matrix.
    pub totals: Vec<usize>,
    /// Pairs of routes that the router confuses, the worst first.
    pub overlaps: Vec<RoutePair>,
}

impl RunView {
    /// Computes what is shown.
    pub fn new(run: Arc<Run>) -> Self {
        let figures = figures(&run);
        let counts = &figures.confusion.counts;
        let totals = counts.iter().map(|row| row.iter().sum()).collect();
        let cells =
            counts.iter().enumerate().flat_map(|(row, counts)| counts.iter().enumerate().map(move |(column, &cases)| (row, column, cases)));
        let mut cells: Vec<(usize, usize, usize)> = cells.filter(|(_, _, cases)| *cases > 0).collect();
        cells.sort_by_key(|&(row, column, cases)| (row == column, std::cmp::Reverse(cases)));
        Self { overlaps: overlap(&run, SHOWN), figures, cells, totals, run }
    }

    /// Returns the same about the same results under another name.
    pub(super) fn with_run(&self, run: Run) -> Self {
        Self { run: Arc::new(run), ..self.clone() }
    }
}
