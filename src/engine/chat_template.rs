//! The router's chat template: the Jinja text that puts one user message into the form the model was trained on.
//!
//! Rendered as transformers does (`apply_chat_template`: blocks trimmed, generation prompt on), so whatever the template says stays, Qwen2.5's
//! default system message included.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::Value;

use super::EngineError;

/// A parsed chat template with the special tokens it may name.
pub struct ChatTemplate {
    environment: Environment<'static>,
    path: String,
    bos_token: String,
    eos_token: String,
}

const NAME: &str = "chat template";

impl ChatTemplate {
    /// Parses a template; `path` is for messages.
    ///
    /// # Errors
    /// Fails on bad Jinja.
    pub fn new(path: &str, source: String, bos_token: String, eos_token: String) -> Result<Self, EngineError> {
        let mut environment = Environment::new();
        let broken = |error: Error| {
            EngineError::router(format!("{path}: the chat template cannot be read: {error:#}; use another conversion of the router"))
        };
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(broken)?);
        // Templates are written for Python: `message.content.strip()`, `messages[1:]`.
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned(NAME, source).map_err(broken)?;
        Ok(Self { environment, path: path.to_owned(), bos_token, eos_token })
    }

    /// Returns the template's text around one user message, ready for the router to answer.
    ///
    /// # Errors
    /// Fails when the template refuses the message.
    pub fn wrap(&self, user_message: &str) -> Result<String, EngineError> {
        let messages = [context! { role => "user", content => user_message }];
        self.environment
            .get_template(NAME)
            .and_then(|template| {
                template.render(
                    context! { messages, add_generation_prompt => true, bos_token => &self.bos_token, eos_token => &self.eos_token },
                )
            })
            .map_err(|error| {
                let path = &self.path;
                EngineError::router(format!(
                    "{path}: the chat template refuses the prompt: {error:#}; use another conversion of the router"
                ))
            })
    }
}

/// The template and special tokens in `tokenizer_config.json`, whose template is a text or a list of named ones.
pub fn from_tokenizer_config(config: &Value) -> (Option<String>, String, String) {
    let template = match config.get("chat_template") {
        Some(Value::String(template)) => Some(template.clone()),
        Some(Value::Array(named)) => {
            let default = named.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"));
            default.and_then(|entry| entry.get("template")).and_then(Value::as_str).map(str::to_owned)
        }
        _ => None,
    };
    // A special token is its text or an object with the text in `content`.
    let token = |key: &str| match config.get(key) {
        Some(Value::String(token)) => token.clone(),
        Some(object) => object.get("content").and_then(Value::as_str).unwrap_or_default().to_owned(),
        None => String::new(),
    };
    (template, token("bos_token"), token("eos_token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_of_qwen_keeps_its_default_system_message() {
        let source = "{%- if messages[0]['role'] == 'system' %}\n    {{- messages[0]['content'] }}\n{%- else %}\n    {{- '<|im_start|>system\\nYou are Qwen.<|im_end|>\\n' }}\n{%- endif %}\n{%- for message in messages %}\n    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n";
        let template = ChatTemplate::new("test", source.to_owned(), String::new(), "<|im_end|>".to_owned()).unwrap();
        let wrapped = template.wrap("\n<b> & \"quotes\" {{ not_a_variable }}\n").unwrap();
        let expected = "<|im_start|>system\nYou are Qwen.<|im_end|>\n<|im_start|>user\n\n<b> & \"quotes\" {{ not_a_variable }}\n<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(wrapped, expected);
    }

    #[test]
    fn refusals_and_bad_templates_are_errors() {
        let refusing = ChatTemplate::new("t", "{{ raise_exception('no tools') }}".to_owned(), String::new(), String::new()).unwrap();
        assert!(refusing.wrap("x").unwrap_err().to_string().contains("no tools"));
        let Err(error) = ChatTemplate::new("model/chat_template.jinja", "{% if %}".to_owned(), String::new(), String::new()) else {
            panic!("a broken template was accepted");
        };
        assert!(error.to_string().starts_with("model/chat_template.jinja: the chat template cannot be read"), "{error}");
    }

    #[test]
    fn tokenizer_config_comes_in_several_shapes() {
        let named = serde_json::json!({"chat_template": [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}],
            "bos_token": null, "eos_token": {"content": "<|im_end|>", "special": true}});
        assert_eq!(from_tokenizer_config(&named), (Some("b".to_owned()), String::new(), "<|im_end|>".to_owned()));
    }
}
