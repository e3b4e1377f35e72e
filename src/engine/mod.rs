//! The only place that knows about models: from a router's files to a [`crate::decision::Decision`].

mod answer_tree;
mod asking;
mod attention;
mod calibration;
mod chat_template;
mod config;
mod cpu_ops;
mod dense;
mod device;
mod endpoint;
mod error;
mod gateway_client;
mod gguf;
mod head;
mod hub;
mod hub_digest;
mod hub_fetch;
mod hub_plan;
mod load;
mod local;
mod logprobs;
mod machine;
mod mapped;
mod math;
mod memory;
mod network;
mod order_test;
mod pack;
mod prefix_cache;
mod pressure;
mod priority;
mod product;
mod protocol;
mod router_list;
mod scoring;
mod server;
mod source;
mod tokenizer;
mod verdict;
mod weights;
mod worker;

pub use answer_tree::AnswerScore;
pub use error::EngineError;
pub use hub::{HubId, Pick, find as find_in_cache};
pub use hub_digest::{Checked, Digest, verify_file, verify_hub};
pub use hub_plan::{Hub, Licence, Plan, RemoteFile};
pub use load::{chat_prompt, load, loader, open_router, router_files};
pub use local::{LocalRouter, MAX_DECODED, Scored};
pub use machine::{Memory, memory};
pub use protocol::{
    CacheStats, CancelToken, DeviceChoice, Event, JobId, JobResult, Progress, RouteRequest, RouterDescription, RouterSource,
};
pub use router_list::{ListedRouter, Presence, list_routers};
pub use server::store_key;
pub use source::Limits;
pub use worker::{Engine, Loader, OnDecided, OnProgress, Previous, Requests, Router};
