//! Configurations of gateways: reading those of every era, writing those of today.
//!
//! Sources: katanemo/plano, `config/plano_config_schema.yaml` and `cli/planoai/config_generator.py` of 0.3.0 to 0.4.36; huggingface/chat-ui
//! before #2265; vllm-project/semantic-router, `config/config.yaml` (v0.3); BerriAI/litellm, `router_strategy/complexity_router/config.py`.

pub(super) mod edit;
mod evidence;
mod export;
mod import;
mod into;
mod litellm;
mod meta;
mod others;
mod plano;
mod plano_checks;
mod plano_endpoints;
mod plano_schema;
mod plano_writer;
mod providers;
pub(super) mod spans;
mod vllm_sr;
mod yaml_1_1;

pub use evidence::{
    Confusion, Evidence, Gate, Stability, Standing, evidence_json, evidence_problems, gateway_versions, policy_digest, standing,
};
pub use export::{ExportError, ExportFormat, ExportOptions, Exported, UnknownFormat, export_gateway};
pub(super) use import::import_to_lint;
pub use import::{GatewayShape, Imported, Note, NoteKind, import_gateway, looks_like_gateway};
pub use into::configured_budget;
pub use others::routing_preference;
pub use providers::lint_context;
pub(super) use providers::{PROVIDERS, SELECTION, SOURCES};
