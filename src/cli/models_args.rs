//! The arguments of `waypost models`.

use clap::{Args, Subcommand};

use super::args::Device;

#[derive(Args)]
pub struct ModelsArguments {
    #[command(subcommand)]
    pub command: Option<ModelsCommand>,
}

/// Without a command the routers are listed.
#[derive(Subcommand)]
pub enum ModelsCommand {
    /// Show which routers can be chosen, those added in the window too, their size and whether they fit; asks no network
    List {
        /// Print the list as JSON
        #[arg(long)]
        json: bool,
        /// Where the network would run
        #[arg(long, value_enum, default_value_t = Device::Auto)]
        device: Device,
    },
    /// Download a router into the cache that all Hugging Face tools share, resuming where an earlier download stopped
    ///
    /// What is there is checked, and fetched again where it is damaged.
    /// HF_TOKEN, HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE and the proxy variables are respected.
    Pull {
        /// A Hugging Face id: katanemo/Arch-Router-1.5B, or with a file: katanemo/Arch-Router-1.5B.gguf:Q4_K_M
        router: String,
        /// Accept the router's licence without being asked, for scripts
        #[arg(long)]
        accept_licence: bool,
    },
    /// Print the path of a downloaded router
    Path {
        /// builtin, a folder with a Qwen2 model, a .gguf file, or a Hugging Face id as for pull
        router: String,
    },
    /// Read a router's files again and compare them with what the Hub declared when they were downloaded
    Verify {
        /// builtin, a folder with a Qwen2 model, a .gguf file, or a Hugging Face id as for pull
        router: String,
    },
}
