//! The user's keys for servers: from the environment, or out of the system's keyring.

use std::fmt;

use super::EngineError;

/// A key of the user's, which its `Debug` hides: what holds one may be written to a log as a whole.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Under which name keys are kept in the system's keyring; the account is the server's host and port.
const KEYRING_SERVICE: &str = "waypost";

/// Which keys of the environment a server may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// `WAYPOST_API_KEY` alone.
    Own,
    /// Also `OPENAI_API_KEY`, over an encrypted connection or on this machine, where the keyring has none for the server.
    OpenAi,
}

/// Returns the user's key for a server, where there is one.
pub(super) fn key(url: &str, keys: Keys) -> Option<Secret> {
    let set = |name: &str| std::env::var(name).ok().map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()).map(Secret);
    if let Some(key) = set("WAYPOST_API_KEY") {
        return Some(key);
    }
    let parsed = reqwest::Url::parse(url).ok()?;
    let host = parsed.host_str()?;
    // What was stored for this very server comes first; a machine without a keyring has no key in it.
    if let Ok(key) = keyring::Entry::new(KEYRING_SERVICE, &account(&parsed)).and_then(|entry| entry.get_password()) {
        return Some(Secret(key));
    }
    let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    // A key for somebody else's service must not travel in the clear to whatever server is tried out.
    if keys == Keys::OpenAi && (parsed.scheme() == "https" || is_here) { set("OPENAI_API_KEY") } else { None }
}

fn account(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Keeps the key of a server in the system's keyring, in place of the one before.
///
/// # Errors
/// Fails with a sentence on a machine without one, and where it stays locked.
pub fn store_key(url: &str, key: &Secret) -> Result<(), EngineError> {
    let failed = |error: &dyn fmt::Display| {
        EngineError::router(format!("the system's keyring cannot be used ({error}); set WAYPOST_API_KEY in the environment instead"))
    };
    let parsed = reqwest::Url::parse(url).map_err(|error| failed(&error))?;
    let entry = keyring::Entry::new(KEYRING_SERVICE, &account(&parsed)).map_err(|error| failed(&error))?;
    entry.set_password(key.as_str().trim()).map_err(|error| failed(&error))
}

/// Takes the key of a server out of the system's keyring; returns whether it did. It stays where one of `others` has the same host and port.
///
/// # Errors
/// Fails with a sentence where a key is there and the keyring does not give it up.
pub fn forget_key(url: &str, others: &[String]) -> Result<bool, EngineError> {
    let named = |url: &str| reqwest::Url::parse(url).ok().map(|url| account(&url));
    let Some(account) = named(url).filter(|account| others.iter().all(|other| named(other).as_ref() != Some(account))) else {
        return Ok(false);
    };
    let Ok(entry) = keyring::Entry::new(KEYRING_SERVICE, &account) else { return Ok(false) };
    // A machine without a keyring holds nothing.
    if entry.get_password().is_err() {
        return Ok(false);
    }
    let failed = |error| {
        EngineError::router(format!("the key of {url} stays in the system's keyring ({error}); remove it with the keyring's own program"))
    };
    entry.delete_credential().map(|()| true).map_err(failed)
}
