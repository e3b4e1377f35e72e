//! How people spell a router: on the command line, in the router panel, and in reports.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::protocol::RouterSource;

/// How a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Requests that are open at the same time; more wait until one of them is answered.
    pub in_flight: usize,
    /// Until the last byte of one answer.
    pub timeout: Duration,
    /// Tries of one request in all, while the server is busy or cannot be reached.
    pub attempts: u32,
    /// Before the second try; doubled before each further one, and spread by chance so that requests do not come back all at once.
    pub pause: Duration,
    /// Whether a key is looked for in the environment and in the system's keyring; tests do without those of whoever runs them.
    pub with_key: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight: 16, timeout: Duration::from_secs(120), attempts: 5, pause: Duration::from_millis(500), with_key: true }
    }
}

/// Marks the address of a gateway, since an address alone could be that of any server.
const GATEWAY: &str = "plano+";

impl FromStr for RouterSource {
    type Err = String;

    /// Reads `builtin`, `http(s)://server/v1#model`, `plano+http(s)://gateway[#model]`, a folder, a `.gguf` file, or `owner/name[:file]` on
    /// the Hugging Face Hub.
    fn from_str(value: &str) -> Result<Self, String> {
        if value == "builtin" {
            return Ok(Self::Builtin);
        }
        if let Some(address) = value.strip_prefix(GATEWAY) {
            let (url, model) = address.split_once('#').map_or((address, None), |(url, model)| (url, Some(model.to_owned())));
            let url = server_url(url)?;
            return Ok(Self::Gateway { url, model: model.filter(|model| !model.is_empty()), limits: Limits::default() });
        }
        if value.starts_with("http://") || value.starts_with("https://") {
            return match value.split_once('#') {
                Some((url, model)) if !model.is_empty() => {
                    Ok(Self::Endpoint { url: server_url(url)?, model: model.to_owned(), limits: Limits::default() })
                }
                _ => {
                    let url = server_url(value.trim_end_matches('#'))?;
                    Err(format!("{url}: name the server's model after a #, for example {url}#Arch-Router"))
                }
            };
        }
        let path = PathBuf::from(value);
        if path.is_dir() {
            return Ok(Self::Folder(path));
        }
        let is_gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if path.exists() && is_gguf {
            return Ok(Self::Gguf(path));
        }
        if !path.exists() && is_hub_id(value) {
            return Ok(Self::Hub(value.to_owned()));
        }
        if is_gguf {
            return Ok(Self::Gguf(path));
        }
        if is_address(value) {
            return Err(format!("{value}: write http:// or https:// before the address of a server, as in http://{value}"));
        }
        Err(format!(
            "{value}: there is no such folder; use builtin, a folder with a Qwen2 model, a .gguf file, a Hugging Face id such as \
             katanemo/Arch-Router-1.5B, http(s)://server/v1#model, or plano+http(s)://gateway"
        ))
    }
}

/// `owner/name`, and after a colon a file of it.
fn is_hub_id(value: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with(['.', '-', '~']) && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let (id, file) = value.split_once(':').unwrap_or((value, "any"));
    is_part(file) && id.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// Returns whether a value begins as `host:port` does; what has a user in it, and maybe a password, does not.
fn is_address(value: &str) -> bool {
    let place = value.split(['/', '#']).next().unwrap_or_default();
    place.rsplit_once(':').is_some_and(|(host, port)| {
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
        is_host && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
    })
}

/// Returns the address of a server without the slash at its end.
fn server_url(url: &str) -> Result<String, String> {
    let trimmed = url.trim_end_matches('/');
    let parsed = reqwest::Url::parse(trimmed).map_err(|error| format!("{url} is no address ({error})"))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(format!("{url} is no address of a server; it starts with http:// or https://"));
    }
    // Addresses are shown, logged and kept in reports.
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() {
        return Err("keep keys and passwords out of the address; set WAYPOST_API_KEY, or store the key in the system's keyring".to_owned());
    }
    Ok(trimmed.to_owned())
}

impl fmt::Display for RouterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("builtin"),
            Self::Folder(path) | Self::Gguf(path) => path.display().fmt(f),
            Self::Hub(id) => f.write_str(id),
            Self::Endpoint { url, model, .. } => write!(f, "{url}#{model}"),
            Self::Gateway { url, model: Some(model), .. } => write!(f, "{GATEWAY}{url}#{model}"),
            Self::Gateway { url, model: None, .. } => write!(f, "{GATEWAY}{url}"),
        }
    }
}

impl RouterSource {
    /// Returns the same router, asked in another way where it is behind a server.
    #[must_use]
    pub fn with_limits(mut self, wanted: Limits) -> Self {
        if let Self::Endpoint { limits, .. } | Self::Gateway { limits, .. } = &mut self {
            *limits = wanted;
        }
        self
    }

    /// Returns how it is asked, where it is behind a server.
    pub fn limits(&self) -> Option<Limits> {
        match self {
            Self::Endpoint { limits, .. } | Self::Gateway { limits, .. } => Some(*limits),
            _ => None,
        }
    }

    /// Returns whether both are the same router, however it is asked.
    pub fn is_same(&self, other: &Self) -> bool {
        match other.limits() {
            Some(limits) => self.clone().with_limits(limits) == *other,
            None => self == other,
        }
    }

    /// Returns where the router's files lie, where it was named by them.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) | Self::Gguf(path) => Some(path),
            _ => None,
        }
    }
}
