//! A run as files that people and programs read, and back: `report.json` with every figure, `cases.csv` with every turn.

use std::io::{Read, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decision::{OrderStability, Outcome, TokenCounts};
use crate::eval::{Figures, Run, RunInfo, TurnResult, figures};

use super::error::{FormatError, Origin};
use super::policy::parse_policy;
use super::policy_writer::write_policy;

/// What `report.json` adds to the figures, so that the run can be read back.
#[derive(Serialize, Deserialize)]
struct Kept {
    run: RunInfo,
    /// The policy that was measured, whatever became of its file since.
    policy_yaml: String,
    /// SHA-256 of the `cases.csv` that belongs to this report.
    cases_sha256: String,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    #[serde(flatten)]
    kept: Kept,
}

/// Returns `report.json`: the figures of `waypost eval --json`, and what it takes to read the run back. `cases_sha256` is that of the
/// file [`write_cases`] wrote.
pub fn report_json(run: &Run, cases_sha256: &str) -> String {
    let kept = Kept { run: run.info.clone(), policy_yaml: write_policy(&run.policy), cases_sha256: cases_sha256.to_owned() };
    // Only keys that are no text could fail.
    serde_json::to_string_pretty(&Whole { figures: &figures(run), kept }).unwrap_or_default() + "\n"
}

/// Columns of `cases.csv`; older files lack some of the last ones, but never one of the first [`OLDEST`].
const COLUMNS: [&str; 23] = [
    "line",
    "id",
    "turn",
    "label",
    "decided",
    "agrees",
    "outcome",
    "model",
    "confidence",
    "margin",
    "invalid_mass",
    "prompt_tokens",
    "cached_tokens",
    "computed_tokens",
    "latency_ms",
    "error",
    "order_stability",
    "probabilities",
    "case",
    "tags",
    "conversation",
    "routes",
    "preview",
];

const OLDEST: usize = 18;
const CASE: usize = 18;
const TAGS: usize = 19;
const CONVERSATION: usize = 20;
const ROUTES: usize = 21;
const PREVIEW: usize = 22;

/// Writes `cases.csv`: a record for each turn, in the order of the set. `order_stability`, `probabilities`, those that are known, and `routes`,
/// the names that only this case chooses between, hold JSON; `case` is the position of the conversation in the set, between `tags` stand semicolons,
/// `conversation` is [`TurnResult::digest`] in hexadecimal, and `preview` is for people.
///
/// # Errors
/// The writer fails.
pub fn write_cases(run: &Run, to: impl Write) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record(COLUMNS)?;
    for turn in &run.turns {
        let names = turn.routes.as_deref().unwrap_or(&run.info.labels);
        let known = names.iter().zip(&turn.probabilities).filter_map(|(name, p)| Some((name.clone(), number((*p)?))));
        let probabilities: Map<String, Value> = known.collect();
        let own = turn.routes.as_deref().and_then(|names| serde_json::to_string(names).ok()).unwrap_or_default();
        let order = turn.order_stability.as_ref().and_then(|stability| serde_json::to_string(stability).ok()).unwrap_or_default();
        writer.write_record([
            turn.line.to_string().as_str(),
            &turn.id,
            &turn.turn.to_string(),
            &turn.label,
            turn.decided.as_deref().unwrap_or_default(),
            if turn.agrees() { "true" } else { "false" },
            outcome_word(turn),
            turn.model.as_deref().unwrap_or_default(),
            &turn.confidence.map_or_else(String::new, |p| p.to_string()),
            &turn.margin.to_string(),
            &turn.invalid_mass.to_string(),
            &turn.tokens.prompt.to_string(),
            &turn.tokens.cached.to_string(),
            &turn.tokens.computed.to_string(),
            &turn.latency_ms.to_string(),
            turn.error.as_deref().unwrap_or_default(),
            &order,
            &if turn.probabilities.is_empty() { String::new() } else { Value::Object(probabilities).to_string() },
            &turn.conversation.to_string(),
            &turn.tags.join(";"),
            &turn.digest.map_or_else(String::new, |digest| format!("{digest:016x}")),
            &own,
            &turn.preview,
        ])?;
    }
    writer.flush()
}

/// Shortest decimals that read back as the same `f32`; as `f64` they would be twice as long.
fn number(p: f32) -> Value {
    p.to_string().parse().map_or(Value::Null, Value::Number)
}

/// Stands in the column `outcome` of a turn without a decision; older files call it an error.
const NOT_DECIDED: &str = "not_decided";

fn outcome_word(turn: &TurnResult) -> &'static str {
    match turn.outcome {
        _ if turn.undecided => NOT_DECIDED,
        Outcome::Route => "route",
        Outcome::NoRoute => "no_route",
        Outcome::Error => "error",
    }
}

/// What a `report.json` says without its cases, for lists of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    pub info: RunInfo,
    pub cases: usize,
    pub agreement: f64,
    pub agreement_ci95: [f64; 2],
    pub partial: bool,
    pub cases_sha256: String,
}

/// Reads a `report.json` without its cases.
///
/// # Errors
/// It is no report of a run.
pub fn read_summary(json: &str, path: &str) -> Result<RunSummary, FormatError> {
    #[derive(Deserialize)]
    struct Shown {
        cases: usize,
        agreement: f64,
        agreement_ci95: [f64; 2],
        partial: bool,
        #[serde(flatten)]
        kept: Kept,
    }
    let Shown { cases, agreement, agreement_ci95, partial, kept } = report(json, path)?;
    Ok(RunSummary { info: kept.run, cases, agreement, agreement_ci95, partial, cases_sha256: kept.cases_sha256 })
}

/// Reads a run back. `path` and `cases_path` stand in messages; that the cases belong to the report is for the caller to check, by
/// [`RunSummary::cases_sha256`].
///
/// # Errors
/// One of the two is not what [`report_json`] and [`write_cases`] wrote.
pub fn read_run(json: &str, path: &str, cases: impl Read, cases_path: &str) -> Result<Run, FormatError> {
    let kept: Kept = report(json, path)?;
    let (policy, _) = parse_policy(&kept.policy_yaml, path)?;
    let turns = Cases { info: &kept.run, path: cases_path }.read(cases)?;
    Ok(Run { info: kept.run, policy: Arc::new(policy), turns })
}

fn report<T: serde::de::DeserializeOwned>(json: &str, path: &str) -> Result<T, FormatError> {
    serde_json::from_str(json).map_err(|error| {
        Origin::new(path)
            .whole(format!("this is no report of a run ({error})"), "name the folder that `waypost eval --out` wrote, or its report.json")
    })
}

struct Cases<'a> {
    info: &'a RunInfo,
    path: &'a str,
}

impl Cases<'_> {
    fn read(&self, cases: impl Read) -> Result<Vec<TurnResult>, FormatError> {
        let mut reader = csv::Reader::from_reader(cases);
        let header = reader.headers().map_err(|error| self.damaged(1, &error.to_string()))?;
        if header.len() < OLDEST || !header.iter().eq(COLUMNS.into_iter().take(header.len())) {
            return Err(self.damaged(1, "its columns are others"));
        }
        let mut turns: Vec<TurnResult> = Vec::new();
        let (mut record, mut texts) = (csv::StringRecord::new(), Texts::default());
        loop {
            let line = reader.position().line() as usize;
            match reader.read_record(&mut record) {
                Ok(true) => {
                    let turn = self.turn(&record, turns.last(), &mut texts);
                    turns.push(turn.ok_or_else(|| self.damaged(line, "a field is not what it should be"))?);
                }
                Ok(false) => return Ok(turns),
                Err(error) => return Err(self.damaged(line, &error.to_string())),
            }
        }
    }

    fn turn(&self, record: &csv::StringRecord, last: Option<&TurnResult>, texts: &mut Texts) -> Option<TurnResult> {
        let [
            line,
            id,
            turn,
            label,
            decided,
            _,
            outcome,
            model,
            confidence,
            margin,
            invalid,
            prompt,
            cached,
            computed,
            latency,
            error,
            order,
            probabilities,
        ] = (0..OLDEST).map(|at| record.get(at)).collect::<Option<Vec<&str>>>()?.try_into().ok()?;
        let undecided = outcome == NOT_DECIDED;
        let outcome = match outcome {
            "route" => Outcome::Route,
            "no_route" => Outcome::NoRoute,
            "error" | NOT_DECIDED => Outcome::Error,
            _ => return None,
        };
        let stability: Option<OrderStability> = if order.is_empty() { None } else { Some(serde_json::from_str(order).ok()?) };
        let (routes, probabilities) = self.probabilities(probabilities, record.get(ROUTES))?;
        let (line, turn): (usize, usize) = (line.parse().ok()?, turn.parse().ok()?);
        let conversation = match (record.get(CASE), last) {
            (Some(case), _) => case.parse().ok()?,
            // The turns of a conversation follow each other.
            (None, Some(last)) => last.conversation + usize::from(last.line != line || last.turn >= turn),
            (None, None) => 0,
        };
        let tags = record.get(TAGS).unwrap_or_default();
        let digest = match record.get(CONVERSATION).unwrap_or_default() {
            "" => None,
            digest => Some(u64::from_str_radix(digest, 16).ok()?),
        };
        Some(TurnResult {
            conversation,
            line,
            id: id.into(),
            turn,
            digest,
            preview: record.get(PREVIEW).unwrap_or_default().into(),
            label: texts.shared(label),
            tags: tags.split(';').filter(|tag| !tag.is_empty()).map(|tag| texts.shared(tag)).collect(),
            outcome,
            undecided,
            decided: (outcome != Outcome::Error).then(|| texts.shared(decided)),
            model: (!model.is_empty()).then(|| texts.shared(model)),
            confidence: if confidence.is_empty() { None } else { Some(confidence.parse().ok()?) },
            margin: margin.parse().ok()?,
            invalid_mass: invalid.parse().ok()?,
            probabilities,
            routes,
            error: (!error.is_empty()).then(|| error.to_owned()),
            tokens: TokenCounts { prompt: prompt.parse().ok()?, cached: cached.parse().ok()?, computed: computed.parse().ok()? },
            latency_ms: latency.parse().ok()?,
            order_stability: stability,
        })
    }

    /// Reads the case's own routes and the probabilities. In a file without the column for the routes, names other than the policy's are
    /// such routes, and where there are no probabilities nobody knows them.
    #[expect(clippy::type_complexity, reason = "the two fields of a turn that these columns hold")]
    fn probabilities(&self, json: &str, routes: Option<&str>) -> Option<(Option<Arc<[String]>>, Vec<Option<f32>>)> {
        let read: Map<String, Value> = if json.is_empty() { Map::new() } else { serde_json::from_str(json).ok()? };
        let own: Option<Arc<[String]>> = match routes {
            Some("") => None,
            Some(names) => Some(serde_json::from_str::<Vec<String>>(names).ok()?.into()),
            None => {
                let is_own = !read.is_empty() && !read.keys().eq(self.info.labels.iter());
                is_own.then(|| read.keys().cloned().collect())
            }
        };
        if json.is_empty() {
            return Some((own, Vec::new()));
        }
        let names = own.as_deref().unwrap_or(&self.info.labels);
        // A name that is not there was not told; a value that is no number is damage.
        let p_of = |name: &String| read.get(name).map_or(Some(None), |p| p.as_f64().map(|p| Some(p as f32)));
        let values = names.iter().map(p_of).collect::<Option<Vec<Option<f32>>>>()?;
        Some((own, values))
    }

    fn damaged(&self, line: usize, what: &str) -> FormatError {
        let error =
            Origin::new(self.path).whole(format!("this is no table of a run's cases ({what})"), "measure again with `waypost eval --out`");
        FormatError { line: Some(line), ..error }
    }
}

/// A run has many turns and few names and tags.
#[derive(Default)]
struct Texts(std::collections::HashSet<Arc<str>>);

impl Texts {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.0.insert(Arc::clone(&text));
        text
    }
}
