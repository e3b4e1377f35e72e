//! The window: functions named `*_ui` that draw the state of [`crate::app`] and send commands back.
//!
//! Nothing here changes what it shows or knows about models, and nothing waits but file dialogs, each on a thread of its own (on a Mac, as the
//! system wants it, on the main one). The panels are drawn from the outside in: bars at the edges first, then columns, since egui gives each
//! the space that is left.

mod actions;
mod bars;
mod batch_tab;
mod budget;
mod case_keys;
mod case_table;
mod case_view;
mod change_views;
mod compare_cases;
mod compare_policies;
mod compare_tab;
mod confusion_view;
mod conversation_panel;
mod decision_facts;
mod decision_panel;
mod dialogs;
mod export_checks;
mod export_preview;
mod export_tab;
mod figures_panel;
mod file_dialog;
mod frame_times;
mod gateway_dialog;
mod import_dialog;
mod lint_view;
mod log_panel;
mod more_figures;
mod notice;
mod overlap_view;
mod palette;
mod playground_tab;
mod plots;
mod policy_tab;
mod prompt_view;
mod result_view;
mod route_form;
mod route_list;
mod router_panel;
mod router_row;
mod set_view;
mod shelf_view;
mod status_bar;
mod study_views;
mod tall_list;
pub mod theme;
mod tokens;
mod top_bar;
mod widgets;
mod window;
mod yaml_view;

pub use window::{Window, run};
