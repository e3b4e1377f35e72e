//! The program from outside, with a home of its own: tests neither see nor change what whoever runs them has.

use std::path::Path;
use std::process::Command;

/// Variables that stand for other folders of a user's, for keys, or forbid the network.
const OF_USER: [&str; 10] = [
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HUGGINGFACE_HUB_CACHE",
    "OPENAI_API_KEY",
    "TRANSFORMERS_OFFLINE",
    "WAYPOST_API_KEY",
];

/// Returns the program with all folders of a user's below this one.
pub fn waypost(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    for name in OF_USER {
        command.env_remove(name);
    }
    command.env("HOME", home);
    for (name, folder) in [("XDG_CACHE_HOME", "caches"), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data"), ("APPDATA", "data")] {
        command.env(name, home.join(folder));
    }
    command
}
