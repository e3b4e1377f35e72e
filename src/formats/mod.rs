//! Text that people write and keep: policies, conversations, labelled sets.
//!
//! Everything here turns text into domain types or back. An error is one sentence that names the file, the line, the column
//! and what to do; what can be read in spite of an oddity is read and the oddity becomes a [`Warning`].

mod compare_report;
mod conversation;
mod digest;
mod error;
mod exports;
mod gateway;
mod json;
mod junit;
mod labelled;
mod labelled_checks;
mod labelled_csv;
mod labelled_edit;
mod labelled_records;
mod labelled_set;
mod lint_report;
mod policy;
mod policy_diff;
mod policy_keep;
mod policy_writer;
mod run_evidence;
mod run_files;
mod run_report;
mod set_findings;
mod source;
mod transcript;
mod tree;
mod wrong_cases;
mod yaml;
mod yaml_edits;
mod yaml_errors;

pub use compare_report::{CompareReport, Compared};
pub use conversation::{conversation_digest, messages_json, parse_conversation, write_conversation};
pub use digest::{Digesting, hex, sha256};
pub use error::{FormatError, PASTED, STDIN, Warning};
pub use exports::{Found, Understood, find_conversations};
pub use gateway::{
    Confusion, Evidence, ExportError, ExportFormat, ExportOptions, Exported, Gate, GatewayShape, Imported, Note, NoteKind, Stability,
    Standing, UnknownFormat, configured_budget, evidence_json, evidence_problems, export_gateway, gateway_versions, import_gateway,
    lint_context, looks_like_gateway, policy_digest, routing_preference, standing,
};
pub use junit::junit_xml;
pub use labelled::{LabelledReader, Place};
pub use labelled_checks::{FindingKind, SetFinding};
pub use labelled_edit::{SetEdit, case_json, unlabelled_json};
pub use labelled_records::SetFormat;
pub use labelled_set::{CaseEntry, CaseReader, LabelledSet, conversation_preview};
pub use lint_report::{LintReport, Located, PolicyLines, lint_entry, lint_text, locate, policy_lines, unreadable_json, unreadable_sarif};
pub use policy::parse_policy;
pub use policy_diff::{DiffKind, DiffLine, policy_diff};
pub use policy_keep::policy_text;
pub use policy_writer::write_policy;
pub use run_evidence::run_evidence;
pub use run_files::{RunSummary, read_run, read_summary, report_json, write_cases};
pub use run_report::{report_markdown, report_text};
pub use set_findings::write_set_findings;
pub use source::{MAX_BYTES, MAX_EXPORT_BYTES, byte_order_mark, open, read_export, read_text, read_text_from, read_unchanged};
pub use wrong_cases::wrong_cases_text;
