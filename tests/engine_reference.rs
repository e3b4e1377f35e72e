//! Real weights against what transformers computes for the same prompts.
//!
//! Runs when `WAYPOST_TEST_MODEL` names a folder with SmolLM2-135M-Instruct written as a Qwen2 network; `.ci/run` makes it where the script for it,
//! which is not part of this repository, lies beside it.

use std::path::PathBuf;

use serde_json::Value;
use waypost::engine::{CPU, CancelToken, DeviceChoice, LocalRouter, Opened, RouterSource, Scored, load, load_on};
use waypost::policy::DialectId;

use crate::tiny_model::gpus;

/// One line of `reference_smollm2.jsonl` with the golden prompt it was made from.
struct Case {
    index: usize,
    dialect: DialectId,
    names: Vec<String>,
    prompt: String,
    prompt_tokens: Vec<u32>,
    /// Route (`None` for no route), log-probability of the answer without and with the end of turn.
    answers: Vec<(Option<String>, f64, f64)>,
    greedy: String,
}

fn cases() -> Vec<Case> {
    let goldens: Vec<Value> =
        include_str!("fixtures/golden_prompts.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let case = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let index = line["index"].as_u64().unwrap() as usize;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let answer = |answer: &Value| {
            let route = text(&answer["route"]);
            ((route != "other").then_some(route), answer["logprob"].as_f64().unwrap(), answer["logprob_end"].as_f64().unwrap())
        };
        Case {
            index,
            dialect: text(&line["dialect"]).parse().unwrap(),
            names: goldens[index]["routes"].as_array().unwrap().iter().map(|route| text(&route["name"])).collect(),
            prompt: text(&goldens[index]["prompt"]),
            prompt_tokens: line["prompt_tokens"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect(),
            answers: line["answers"].as_array().unwrap().iter().map(answer).collect(),
            greedy: text(&line["greedy"]),
        }
    };
    include_str!("fixtures/reference_smollm2.jsonl").lines().map(case).collect()
}

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("WAYPOST_TEST_MODEL").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("WAYPOST_TEST_MODEL is not set: the comparison with transformers is left out");
    }
    folder
}

fn open(source: &RouterSource) -> LocalRouter {
    load(source, DeviceChoice::Cpu, &mut |_| {}, &CancelToken::default()).unwrap()
}

fn score(router: &mut LocalRouter, case: &Case) -> Scored {
    let names: Vec<&str> = case.names.iter().map(String::as_str).collect();
    router.score(case.dialect, &names, &case.prompt, &CancelToken::default()).unwrap()
}

#[test]
fn safetensors_agree_with_transformers() {
    let Some(folder) = folder() else { return };
    let mut router = open(&RouterSource::Folder(folder));
    let mut worst: f64 = 0.0;
    for case in cases() {
        same_tokens(&router, &case, "safetensors");
        let scored = score(&mut router, &case);
        for (route, log_prob, log_prob_end) in &case.answers {
            let position = route.as_ref().map(|route| case.names.iter().position(|name| name == route).unwrap());
            let ours = scored.answers.iter().find(|answer| answer.route == position).unwrap();
            worst = worst.max((ours.log_prob - log_prob).abs()).max((ours.log_prob_end - log_prob_end).abs());
            assert!(
                worst < 1e-3,
                "case {}, {route:?}: {} and {} against {log_prob} and {log_prob_end}",
                case.index,
                ours.log_prob,
                ours.log_prob_end
            );
        }
        // The reference stops after 48 tokens, Waypost a little later.
        let ours = &scored.greedy;
        assert!(ours.starts_with(&case.greedy), "case {}: wrote {ours:?}, transformers {:?}", case.index, case.greedy);
    }
    eprintln!("largest difference of a log-probability: {worst:.2e}");
}

#[test]
fn gguf_files_choose_the_same_answers() {
    let Some(folder) = folder() else { return };
    for file in ["f16.gguf", "q8_0.gguf"] {
        chooses_the_same_answers(CPU, &RouterSource::Gguf(folder.join(file)), 95);
    }
}

/// Says nothing on machines without one.
#[test]
fn gpus_choose_the_same_answers() {
    let Some(folder) = folder() else { return };
    for gpu in gpus() {
        chooses_the_same_answers(gpu.clone(), &RouterSource::Folder(folder.clone()), 90);
        for file in ["f16.gguf", "q8_0.gguf"] {
            chooses_the_same_answers(gpu.clone(), &RouterSource::Gguf(folder.join(file)), 90);
        }
    }
}

/// Compares the likeliest answers with transformers' in f32, of which so many in a hundred must be the same.
fn chooses_the_same_answers(device: Opened, source: &RouterSource, least: usize) {
    let (cases, what) = (cases(), format!("{source:?} on {} in {:?}", device.name, device.dtype));
    let mut router = load_on(device.into(), source, &mut |_| {}, &CancelToken::default()).unwrap();
    // The scores tell which answer is chosen; SmolLM2 untrained would ramble after each of them.
    router.set_max_decoded(1);
    let (mut same, mut worst) = (0, 0_f64);
    for case in &cases {
        let scored = score(&mut router, case);
        // Without the end of the turn: a GGUF file has more tokens for it than the folder that the reference was made with.
        let best = scored.answers.iter().max_by(|a, b| a.log_prob.total_cmp(&b.log_prob)).unwrap();
        let expected = case.answers.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        same += usize::from(best.route.map(|route| case.names[route].clone()) == expected.0);
        worst = worst.max((best.log_prob - expected.1).abs());
    }
    eprintln!("{what}: {same} of {} best answers as in f32, their log-probabilities differ by at most {worst:.2}", cases.len());
    assert!(same * 100 >= cases.len() * least, "{what}: only {same} of {} best answers as in f32", cases.len());
}

/// Token ids must be transformers' own; a difference is shown at its first place.
fn same_tokens(router: &LocalRouter, case: &Case, file: &str) {
    let ours = router.prompt_tokens(&case.prompt).unwrap();
    let at = ours.iter().zip(&case.prompt_tokens).take_while(|(a, b)| a == b).count();
    let around = |tokens: &[u32]| tokens[at.saturating_sub(3)..].iter().take(8).copied().collect::<Vec<_>>();
    let (ours_at, expected_at) = (around(&ours), around(&case.prompt_tokens));
    assert_eq!(ours, case.prompt_tokens, "{file}, case {}: from token {at} on {ours_at:?} against {expected_at:?}", case.index);
}
