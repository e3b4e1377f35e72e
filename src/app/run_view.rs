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
    /// The decision behind the last label stands for errors.
    pub cells: Vec<(usize, usize, usize)>,
    /// Cases of each row of the confusion matrix, errors among them.
    pub totals: Vec<usize>,
    /// Errors of each row; empty where there are none at all.
    pub errors: Vec<usize>,
    /// Pairs of routes that the router confuses, the worst first.
    pub overlaps: Vec<RoutePair>,
}

impl RunView {
    /// Computes what is shown.
    pub fn new(run: Arc<Run>) -> Self {
        let figures = figures(&run);
        let counts = &figures.confusion.counts;
        // The routes' figures are in the order of the matrix. Its counts hold no errors, which are cases with the label all the same.
        let totals: Vec<usize> = figures.per_route.iter().map(|route| route.support).collect();
        let errors = if figures.errors > 0 { figures.errors_by_label() } else { Vec::new() };
        let cells = counts.iter().enumerate().flat_map(|(row, counts)| {
            let columns = counts.iter().chain(errors.get(row)).enumerate();
            columns.map(move |(column, &cases)| (row, column, cases))
        });
        let mut cells: Vec<(usize, usize, usize)> = cells.filter(|(_, _, cases)| *cases > 0).collect();
        cells.sort_by_key(|&(row, column, cases)| (row == column, std::cmp::Reverse(cases)));
        Self { overlaps: overlap(&run, SHOWN), figures, cells, totals, errors, run }
    }

    /// Returns how many cases with a label, by its row in the matrix, were decided as that of a column, or are errors in the column behind the
    /// last label.
    pub fn count(&self, row: usize, column: usize) -> usize {
        let decided = self.figures.confusion.counts.get(row).and_then(|row| row.get(column));
        decided.or_else(|| self.errors.get(row).filter(|_| column == self.figures.confusion.labels.len())).copied().unwrap_or_default()
    }

    /// Returns the same about the same results under another name.
    pub(super) fn with_run(&self, run: Run) -> Self {
        Self { run: Arc::new(run), ..self.clone() }
    }
}
