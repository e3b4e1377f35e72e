//! The arguments of every command, as `--help` shows them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::models_args::ModelsArguments;
use super::{Failure, input, router};
use crate::app::{Caches, StartOptions};
use crate::dialect::{Gateway, Version, gateway_of_version, version};
use crate::engine::{DeviceChoice, Hub, loader};
use crate::formats::ExportFormat;
use crate::policy::DialectId;

/// A workbench for LLM route policies: write routes, see which one a router chooses and how surely, before your gateway does.
///
/// Without a command the window opens. FILE arguments may be `-` for standard input, except those of `gui`.
#[derive(Parser)]
#[command(name = "waypost", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Open the window (the default)
    Gui(GuiArguments),
    /// Print the exact prompt that the gateway would send to the router
    ///
    /// Exact but for the order of the routes, here that of the file: gateways list them in an order nobody controls
    Prompt(PromptArguments),
    /// Decide which route a conversation takes
    Route(RouteArguments),
    /// Check a policy for what gateways refuse, silently misread, or advise against
    Lint(LintArguments),
    /// Turn a gateway's configuration, of any era, into a policy
    Import(ImportArguments),
    /// Write a policy as a gateway's configuration
    Export(ExportArguments),
    /// Measure how often decisions agree with a labelled set
    Eval(EvalArguments),
    /// Compare policies, routers, dialects or saved runs on one labelled set
    Compare(CompareArguments),
    /// Measure how fast a router decides on this machine
    Bench(BenchArguments),
    /// List, download and check routers
    Models(ModelsArguments),
}

impl Default for Command {
    fn default() -> Self {
        let router =
            RouterArguments { router: None, device: Device::Auto, asking: AskingArguments { in_flight: IN_FLIGHT, timeout: TIMEOUT } };
        Self::Gui(GuiArguments { files: Vec::new(), router })
    }
}

#[derive(Args)]
pub struct GuiArguments {
    /// Policies, gateway configurations, conversations, labelled sets and local routers to open
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub router: RouterArguments,
}

impl GuiArguments {
    pub fn start_options(&self) -> Result<StartOptions, Failure> {
        if self.files.iter().any(|file| input::is_stdin(file)) {
            return Err(Failure::Input("the window cannot read standard input; save it to a file and name that".to_owned()));
        }
        Ok(StartOptions {
            files: self.files.clone(),
            router: self.router.router.is_some().then(|| router::source_of(&self.router)).transpose()?,
            device: self.router.device.choice(),
            loader: loader(),
            hub: Arc::new(Hub::from_environment),
            caches: Caches::default(),
        })
    }
}

/// What to decide.
#[derive(Args)]
pub struct CaseArguments {
    /// Policy file: YAML or JSON with routes
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// Conversation file: JSON messages, or a transcript ("User: …")
    #[arg(long, value_name = "FILE")]
    pub conversation: PathBuf,
    /// Whose prompt to send: model-card, archgw-0.3.1, plano-0.4.19 or plano-0.4.20 [default: the policy's, else archgw-0.3.1]
    #[arg(long, value_name = "ID", hide_possible_values = true)]
    pub dialect: Option<DialectId>,
    /// Estimated tokens (bytes / 4) the gateway allows a prompt [default: the policy's, else the dialect's own]
    #[arg(long, value_name = "TOKENS")]
    pub budget: Option<usize>,
}

#[derive(Args)]
pub struct PromptArguments {
    #[command(flatten)]
    pub case: CaseArguments,
    /// Wrap the prompt in the router's chat template
    #[arg(long)]
    pub chat: bool,
    /// Whose chat template, with --chat: builtin, a folder with a Qwen2 model, a .gguf file or a Hugging Face id; servers keep theirs
    #[arg(long, value_name = "ROUTER", default_value = "builtin")]
    pub router: String,
}

#[derive(Args)]
pub struct RouteArguments {
    #[command(flatten)]
    pub case: CaseArguments,
    #[command(flatten)]
    pub router: RouterArguments,
    /// Repeat the decision under this many other orders of the routes, drawn at random; as many as there are, 10000 at most
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = orders())]
    pub orders: usize,
    /// Seed of the random orders
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Also ask as each gateway version does, and say what it would do with the router's answer; not for a running Plano
    #[arg(long)]
    pub gateways: bool,
    /// Print everything known about the decision as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct LintArguments {
    /// Policy file, or a gateway's configuration
    pub policy: PathBuf,
    /// Print the findings as JSON
    #[arg(long, conflicts_with = "sarif")]
    pub json: bool,
    /// Print the findings as SARIF, which editors and CI services read
    #[arg(long)]
    pub sarif: bool,
}

#[derive(Args)]
pub struct ImportArguments {
    /// Configuration of Plano or archgw, vLLM Semantic Router or LiteLLM, a chat-ui route list, or a /routing request
    pub config: PathBuf,
    /// Write the policy here instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub struct ExportArguments {
    /// Policy file
    pub policy: PathBuf,
    /// plano-0.4, plano-0.3, routing-api, vllm-sr or litellm
    #[arg(long, value_name = "FORMAT", default_value_t)]
    pub format: ExportFormat,
    /// Write the routes into this existing Plano configuration. Its version, missing providers and routes inside providers change where
    /// that is needed, nothing else does
    #[arg(long, value_name = "CONFIG")]
    pub into: Option<PathBuf>,
    /// Say in the export what the policy was tested with: the folder that `waypost eval --out` wrote, or its report.json
    #[arg(long, value_name = "RUN")]
    pub evidence: Option<PathBuf>,
    /// Version of Plano that the export is for, as in 0.4.36 [default: the newest that reads the format]: asks when it does not send the
    /// dialect that was tested, and warns when it does not read the format
    #[arg(long, value_name = "VERSION", value_parser = target)]
    pub gateway: Option<Target>,
    /// Do not ask before exporting a policy that was not tested, was changed since, failed its test, or was tested with another dialect.
    /// Where nobody can be asked, one whose --evidence does not hold is refused, and one without --evidence is exported with a warning
    #[arg(long)]
    pub yes: bool,
    /// Write the configuration here instead of to standard output, and with --evidence routes.evidence.json beside it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub struct EvalArguments {
    /// Policy file: YAML or JSON with routes
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// Labelled set: JSON lines with "messages" and "route", or "labels" for each user turn; ShareGPT exports with labels; CSV with text,label
    #[arg(long, value_name = "FILE")]
    pub set: PathBuf,
    /// Whose prompt to send: model-card, archgw-0.3.1, plano-0.4.19 or plano-0.4.20 [default: the policy's, else archgw-0.3.1]
    #[arg(long, value_name = "ID")]
    pub dialect: Option<DialectId>,
    /// Estimated tokens (bytes / 4) the gateway allows a prompt [default: the policy's, else the dialect's own]
    #[arg(long, value_name = "TOKENS")]
    pub budget: Option<usize>,
    #[command(flatten)]
    pub router: RouterArguments,
    /// Measure only the first N conversations of the set
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Repeat each decision under this many other orders of the routes, drawn at random; as many as there are, 10000 at most
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = orders())]
    pub orders: usize,
    /// Seed of the random orders
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Write report.json, cases.csv, report.md, junit.xml and set_findings.csv to this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// End with status 1 when the agreement is under X, in 0 to 1, and with 3 when that depends on cases that the router did not decide
    #[arg(long, value_name = "X")]
    pub min_agreement: Option<f64>,
    /// End with status 1 when less than X, in 0 to 1, of a route's cases are decided as it, and name the routes; with 3 as above
    #[arg(long, value_name = "X")]
    pub min_recall: Option<f64>,
    #[command(flatten)]
    pub keep: KeepArguments,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct CompareArguments {
    /// Policy file of a variant; the first one given is the baseline
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Labelled set, as for eval
    #[arg(long, value_name = "FILE", required_unless_present = "run")]
    pub set: Option<PathBuf>,
    /// A run that `waypost eval --out` wrote, as a variant
    #[arg(long, value_name = "DIR")]
    pub run: Vec<PathBuf>,
    /// Whose prompt, once or for each variant: model-card, archgw-0.3.1, plano-0.4.19, plano-0.4.20 [default: the policy's, else archgw-0.3.1]
    #[arg(long, value_name = "ID")]
    pub dialect: Vec<DialectId>,
    /// Estimated tokens (bytes / 4) the gateway allows a prompt, for all variants [default: each policy's, else the dialect's own]
    #[arg(long, value_name = "TOKENS", requires = "policy")]
    pub budget: Option<usize>,
    /// Who decides, once or for each variant; as for route [default: builtin]
    #[arg(long, value_name = "ROUTER")]
    pub router: Vec<String>,
    /// Where the network runs
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    #[command(flatten)]
    pub asking: AskingArguments,
    /// Measure only the first N conversations of the set. With --policy only: a saved run has the cases that it has
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Repeat each decision under this many other orders of the routes, as for eval; the comparison stays one of the policies' own orders.
    /// With --policy only: a saved run stays as it is
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = orders(), requires = "policy")]
    pub orders: usize,
    /// Seed of the bootstrap and of the random orders
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// End with status 1 when the baseline is better than the last variant by more than chance
    #[arg(long)]
    pub fail_if_worse: bool,
    /// Do not look for the edit that causes each flip
    #[arg(long)]
    pub no_causes: bool,
    /// Write compare.json, compare.md, matrix.csv and a folder for each run to this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub keep: KeepArguments,
    /// Print the comparison as JSON
    #[arg(long)]
    pub json: bool,
}

/// Results that are kept, so that a second run decides only what changed.
#[derive(Args)]
pub struct KeepArguments {
    /// Keep results here and take them from here [default: the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    pub cache: Option<PathBuf>,
    /// Decide every case again and store nothing, for example to measure the speed
    #[arg(long)]
    pub no_cache: bool,
}

#[derive(Args)]
pub struct BenchArguments {
    /// A router that runs here: builtin, a folder with a Qwen2 model, a .gguf file, or a Hugging Face id (katanemo/Arch-Router-1.5B, or
    /// owner/name:file)
    #[arg(long, value_name = "ROUTER", default_value = "builtin")]
    pub router: String,
    /// Where the network runs
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    /// Single decisions of each kind [default: 20, or as many as a minute allows, but 7 at least]
    #[arg(long, value_name = "N")]
    pub runs: Option<usize>,
    /// Conversations that are decided one by one and packed
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub cases: usize,
    /// Take the conversations from this labelled set [default: invented ones]
    #[arg(long, value_name = "FILE", requires = "policy")]
    pub set: Option<PathBuf>,
    /// Policy file for --set [default: invented, of ten routes]
    #[arg(long, value_name = "FILE", requires = "set")]
    pub policy: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// More orders tell nothing more, and each is a decision of its own.
fn orders() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(0..=10_000)
}

/// The gateway that an export is for.
#[derive(Clone, Copy)]
pub struct Target {
    pub version: Version,
    pub gateway: &'static Gateway,
}

fn target(text: &str) -> Result<Target, String> {
    let target = version(text).zip(gateway_of_version(text)).map(|(version, gateway)| Target { version, gateway });
    target.ok_or_else(|| "not a version of Plano from 0.3.1 on; write it as 0.4.36".to_owned())
}

/// As in [`crate::engine::Limits`].
const IN_FLIGHT: usize = 16;
const TIMEOUT: f64 = 120.0;

/// How a router behind a server is asked.
#[derive(Args, Clone, Copy)]
pub struct AskingArguments {
    /// Requests to a server that are open at the same time
    #[arg(long, value_name = "N", default_value_t = IN_FLIGHT)]
    pub in_flight: usize,
    /// Seconds that a server has for one answer
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT)]
    pub timeout: f64,
}

/// Who decides, and where it runs.
#[derive(Args)]
pub struct RouterArguments {
    /// builtin, a folder with a Qwen2 model, a .gguf file, a Hugging Face id (katanemo/Arch-Router-1.5B, or owner/name:file), an
    /// OpenAI-compatible server as http(s)://server/v1#model, or a running Plano as plano+http(s)://gateway. Keys come from
    /// WAYPOST_API_KEY, the system's keyring, or (not for Plano) OPENAI_API_KEY [default: builtin; in the window the one chosen last]
    #[arg(long, value_name = "ROUTER")]
    pub router: Option<String>,
    /// Where the network runs
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    #[command(flatten)]
    pub asking: AskingArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The fastest one there is
    Auto,
    Cpu,
    Cuda,
    Metal,
}

impl Device {
    pub fn choice(self) -> DeviceChoice {
        match self {
            Self::Auto => DeviceChoice::Auto,
            Self::Cpu => DeviceChoice::Cpu,
            Self::Cuda => DeviceChoice::Cuda,
            Self::Metal => DeviceChoice::Metal,
        }
    }
}
