//! From prompts that are wanted to token ids: rendering, the chat template and the tokenizer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::EngineError;
use super::asking::Ask;
use super::chat_template::ChatTemplate;
use super::tokenizer::RouterTokenizer;
use crate::dialect::render;

/// What a router needs to make prompts.
pub struct PromptMaker {
    pub template: ChatTemplate,
    pub tokenizer: RouterTokenizer,
}

/// A prompt that is ready to be scored, or why there is none.
pub struct Prepared {
    pub ask: Ask,
    pub prompt: Result<Vec<u32>, EngineError>,
    pub render: Duration,
    pub tokenize: Duration,
}

impl PromptMaker {
    /// Returns the token ids of the chat-templated user message.
    ///
    /// # Errors
    /// Fails when the template or the tokenizer does.
    pub fn tokens(&self, user_message: &str) -> Result<Vec<u32>, EngineError> {
        self.tokenizer.encode_prompt(&self.template.wrap(user_message)?)
    }

    /// Renders and tokenises on all threads.
    pub fn prepare(&self, asks: Vec<Ask>) -> VecDeque<Prepared> {
        let prepared = asks.into_par_iter().map(|ask| {
            let start = Instant::now();
            let rendered = render(ask.request.dialect, &ask.routes(), &ask.request.conversation, ask.request.budget);
            let render = start.elapsed();
            let start = Instant::now();
            let prompt = self.tokens(&rendered.text);
            Prepared { ask, prompt, render, tokenize: start.elapsed() }
        });
        prepared.collect::<Vec<_>>().into()
    }
}
