//! What Plano knows about the providers in model names such as `openai/gpt-4o`.
//!
//! Source: `SUPPORTED_PROVIDERS_*` in cli/planoai/config_generator.py of Plano 0.4.36.

/// Where Plano finds the servers of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Plano knows the provider's servers.
    Known,
    /// Plano speaks the provider's protocol, but has to be told a `base_url`.
    BaseUrl,
    /// Plano does not know the provider, and wants `base_url` and `provider_interface`.
    BaseUrlAndInterface,
}

/// Returns where Plano finds a model, or `None` where the name is not `provider/model`.
///
/// A wildcard (`openai/*`) is no model: gateways refuse to route to it.
pub fn address(model: &str) -> Option<Address> {
    let (provider, id) = model.split_once('/')?;
    if provider.trim().is_empty() || id.trim().is_empty() || id.rsplit('/').next().is_some_and(|last| last.trim() == "*") {
        return None;
    }
    Some(match provider.trim() {
        provider if KNOWN.contains(&provider) => Address::Known,
        provider if NEEDS_BASE_URL.contains(&provider) => Address::BaseUrl,
        _ => Address::BaseUrlAndInterface,
    })
}

/// Returns whether Plano has an interface of this name, for providers that it does not know.
pub fn is_interface(name: &str) -> bool {
    INTERFACES.contains(&name)
}

/// Returns whether Plano can reach a `base_url`: http or https, a host, and a number where there is a port.
pub fn is_base_url(url: &str) -> bool {
    let Some((scheme, host, port)) = place(url) else { return false };
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) && !host.is_empty() && port.is_none_or(is_port)
}

/// Returns scheme, host and port of a URL as Plano takes it apart; `None` where there is no scheme.
pub fn place(url: &str) -> Option<(&str, &str, Option<&str>)> {
    let (scheme, rest) = url.split_once("://")?;
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = place.rsplit('@').next().unwrap_or_default();
    let (host, port) = match place.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    Some((scheme, host, port))
}

/// Returns whether Plano takes the port of a URL. It reads addresses before it fills in variables, so a variable is none.
pub fn is_port(port: &str) -> bool {
    port.is_empty() || port.parse::<u16>().is_ok()
}

/// Returns the environment variable that conventionally holds a provider's key: `OPENAI_API_KEY` for `openai/gpt-4o`.
pub fn key_variable(model: &str) -> String {
    let provider = model.split('/').next().unwrap_or_default();
    let upper = provider.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    upper.chain("_API_KEY".chars()).collect()
}

const KNOWN: [&str; 16] = [
    "deepseek",
    "groq",
    "mistral",
    "openai",
    "xiaomi",
    "gemini",
    "anthropic",
    "together_ai",
    "xai",
    "moonshotai",
    "zhipu",
    "chatgpt",
    "digitalocean",
    "vercel",
    "openrouter",
    "edenai",
];

/// The values of `provider_interface` in config/plano_config_schema.yaml.
const INTERFACES: [&str; 13] = [
    "plano",
    "deepseek",
    "groq",
    "mistral",
    "openai",
    "xiaomi",
    "gemini",
    "chatgpt",
    "digitalocean",
    "vercel",
    "openrouter",
    "edenai",
    "moonshotai",
];

const NEEDS_BASE_URL: [&str; 5] = ["azure_openai", "ollama", "qwen", "amazon_bedrock", "plano"];
