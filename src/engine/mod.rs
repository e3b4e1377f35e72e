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
mod error;
mod gguf;
mod head;
mod load;
mod local;
mod mapped;
mod math;
mod network;
mod order_test;
mod pack;
mod prefix_cache;
mod pressure;
mod product;
mod protocol;
mod scoring;
mod tokenizer;
mod verdict;
mod weights;
mod worker;

pub use answer_tree::AnswerScore;
pub use error::EngineError;
pub use load::{chat_prompt, load, loader, router_files};
pub use local::{LocalRouter, MAX_DECODED, Scored};
pub use protocol::{
    CacheStats, CancelToken, DeviceChoice, Event, JobId, JobResult, Progress, RouteRequest, RouterDescription, RouterSource,
};
pub use worker::{Engine, Loader, OnDecided, OnProgress, Previous, Requests, Router};
