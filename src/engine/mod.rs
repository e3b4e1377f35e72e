//! The only place that knows about models: from a router's files to a [`crate::decision::Decision`].

mod answer_tree;
mod attention;
mod calibration;
mod chat_template;
mod config;
mod cpu_ops;
mod dense;
mod endpoint;
mod error;
mod gateway_client;
mod gguf;
mod load;
mod local;
mod logprobs;
mod mapped;
mod math;
mod network;
mod order_test;
mod prefix_cache;
mod protocol;
mod server;
mod source;
mod tokenizer;
mod weights;
mod worker;

pub use answer_tree::AnswerScore;
pub use error::EngineError;
pub use load::{chat_prompt, load, loader, open_router};
pub use local::{LocalRouter, MAX_DECODED, Scored};
pub use protocol::{
    CacheStats, CancelToken, DeviceChoice, Event, JobId, JobResult, Progress, RouteRequest, RouterDescription, RouterSource,
};
pub use server::store_key;
pub use source::Limits;
pub use worker::{Engine, Loader, OnDecided, OnProgress, Requests, Router};
