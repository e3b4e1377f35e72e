//! Damaged, hostile and mismatched files: each is an error that names the file and says what to do, never a panic.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use waypost::engine::{
    CancelToken, DeviceChoice, EngineError, ListedRouter, LocalRouter, Memory, Place, Presence, RouterSource, Scored, list_routers, load,
};
use waypost::policy::DialectId;

use crate::tiny_model::gguf::{GgufFile, Meta};
use crate::tiny_model::tokenizer::SPECIAL;
use crate::tiny_model::{Shape, Storage, TinyModel, open, write_files};

const SHAPE: Shape = Shape { hidden: 32, intermediate: 32, layers: 1, heads: 2, kv_heads: 1, tied: true, context: 512 };

fn model() -> TinyModel {
    TinyModel::random(SHAPE, 1)
}

/// Loads, and scores one question where that works. A panic is caught and told apart from an error.
fn try_out(source: &RouterSource) -> Result<Result<Scored, EngineError>, String> {
    let run = || -> Result<Scored, EngineError> {
        let mut router: LocalRouter = load(source, DeviceChoice::Cpu, &mut |_| {}, &CancelToken::default())?;
        router.score(DialectId::Plano0420, &["code", "京都!"], "Sort a list 🚄", &CancelToken::default())
    };
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| "panicked instead of saying what is wrong".to_owned())
}

/// Returns what is wrong with the refusal of a source: its sentence must have each of the parts, which `|` separates.
fn complaint(source: &RouterSource, parts: &str) -> Option<String> {
    match try_out(source) {
        Err(panic) => Some(panic),
        Ok(Ok(_)) => Some("was accepted".to_owned()),
        Ok(Err(EngineError::Router(sentence) | EngineError::Request(sentence))) => {
            let missing: Vec<&str> = parts.split('|').filter(|part| !sentence.contains(part)).collect();
            (!missing.is_empty()).then(|| format!("{sentence:?} does not say {missing:?}"))
        }
        // `Internal` would blame Waypost, `Cancelled` nobody.
        Ok(Err(error)) => Some(format!("{error:?} is no sentence about the router")),
    }
}

fn assert_refused(source: &RouterSource, parts: &str, what: &str) {
    if let Some(complaint) = complaint(source, parts) {
        panic!("{what}: {complaint}");
    }
}

/// A router's folder in memory.
type Files = BTreeMap<String, Vec<u8>>;

fn edit_json(files: &mut Files, name: &str, edit: impl FnOnce(&mut Value)) {
    let mut json = serde_json::from_slice(&files[name]).unwrap();
    edit(&mut json);
    files.insert(name.to_owned(), json.to_string().into_bytes());
}

type Edit = Box<dyn Fn(&mut Files)>;

fn config(key: &'static str, value: Value) -> Edit {
    Box::new(move |files| edit_json(files, "config.json", |json| json[key] = value.clone()))
}

fn tokenizer(edit: impl Fn(&mut Value) + 'static) -> Edit {
    Box::new(move |files| edit_json(files, "tokenizer.json", &edit))
}

fn replace(name: &'static str, bytes: &'static [u8]) -> Edit {
    Box::new(move |files| drop(files.insert(name.to_owned(), bytes.to_vec())))
}

fn remove(name: &'static str) -> Edit {
    Box::new(move |files| assert!(files.remove(name).is_some(), "{name} is not there to be removed"))
}

fn template(source: &'static str) -> Edit {
    replace("chat_template.jinja", source.as_bytes())
}

/// Replaces the header of the safetensors file, keeping the data.
fn header(edit: impl Fn(&mut Value) + 'static) -> Edit {
    Box::new(move |files| {
        let file = &files["model.safetensors"];
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let mut json: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
        edit(&mut json);
        let text = json.to_string();
        let damaged = [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &file[8 + length..]].concat();
        files.insert("model.safetensors".to_owned(), damaged);
    })
}

/// Overwrites every number of the weights.
fn weights(value: f32) -> Edit {
    Box::new(move |files| {
        let mut model = model();
        model.weights.iter_mut().flat_map(|weight| &mut weight.values).for_each(|number| *number = value);
        files.extend(model.files(Storage::F32, 1));
    })
}

/// What it is, how it is done, and what the refusal says.
type Damage = (&'static str, Edit, &'static str);

#[rustfmt::skip]
fn damaged_folders() -> Vec<Damage> {
    vec![
        ("no config", remove("config.json"), "has no config.json|folder holds"),
        ("no tokenizer", remove("tokenizer.json"), "has no tokenizer.json|folder holds"),
        ("no weights", remove("model.safetensors"), "has no *.safetensors file|download the weights"),
        ("no template", remove("tokenizer_config.json"), "has no chat template|add chat_template.jinja"),
        ("config is empty", replace("config.json", b""), "config.json|is this a model's config.json?"),
        ("config is cut short", replace("config.json", b"{\"model_type\": \"qwen2\", "), "config.json|line 1"),
        ("config is a list", replace("config.json", b"[]"), "config.json"),
        ("config is no text", replace("config.json", b"\xff\xfe\0"), "config.json"),
        ("config nests deeply", Box::new(|files| drop(files.insert("config.json".to_owned(), b"[".repeat(100_000)))), "config.json"),
        ("another architecture", config("model_type", json!("llama")), "config.json|llama|qwen2"),
        ("no architecture", config("model_type", Value::Null), "config.json|architecture"),
        ("no layers", config("num_hidden_layers", json!(0)), "config.json|number of layers of 0"),
        ("many layers", config("num_hidden_layers", json!(1_000_000_000_u64)), "config.json|number of layers"),
        ("more layers than the file has", config("num_hidden_layers", json!(3)), "model.layers.1.|missing"),
        ("layers below zero", config("num_hidden_layers", json!(-1)), "config.json|-1"),
        ("no heads", config("num_attention_heads", json!(0)), "config.json|number of heads of 0"),
        ("no key heads", config("num_key_value_heads", json!(0)), "config.json|number of key heads of 0"),
        ("heads that do not divide", config("num_key_value_heads", json!(3)), "config.json|do not fit together"),
        ("odd head size", config("head_dim", json!(15)), "config.json|do not fit together"),
        ("no hidden size", config("hidden_size", json!(0)), "config.json|hidden size of 0"),
        ("huge hidden size", config("hidden_size", json!(u64::MAX)), "config.json|impossible"),
        ("another hidden size", config("hidden_size", json!(64)), "[520, 32]|different models are mixed"),
        ("huge vocabulary", config("vocab_size", json!(u32::MAX)), "config.json|vocabulary"),
        ("vocabulary larger than the embedding", config("vocab_size", json!(1000)), "embed_tokens|[1000, 32]|mixed"),
        ("vocabulary smaller than the tokenizer", config("vocab_size", json!(100)), "tokenizer.json|the network knows 100|mixed"),
        ("no context", config("max_position_embeddings", json!(0)), "config.json|context length of 0"),
        ("huge context", config("max_position_embeddings", json!(u64::MAX)), "config.json|context length"),
        ("no rope base", config("rope_theta", json!(0.0)), "config.json|rope_theta"),
        ("rope base below zero", config("rope_theta", json!(-5.0)), "config.json|rope_theta"),
        ("rope base that is no number", config("rope_theta", json!("x")), "config.json"),
        ("no epsilon", config("rms_norm_eps", json!(0.0)), "config.json|rms_norm_eps"),
        ("scaled rotation", config("rope_scaling", json!({"type": "yarn", "factor": 4.0})), "config.json|scaled rotary|plain Qwen2"),
        ("scaled rotation of transformers 5", config("rope_parameters", json!({"rope_type": "yarn", "rope_theta": 1e6})), "config.json|scaled rotary"),
        ("sliding window", config("use_sliding_window", json!(true)), "config.json|sliding windows"),
        ("another activation", config("hidden_act", json!("gelu")), "config.json|silu"),
        ("weights of another quantisation", config("quantization_config", json!({"quant_method": "awq", "bits": 4})), "config.json|quantised as awq|.gguf"),
        ("no end token anywhere", Box::new(|files| {
            edit_json(files, "config.json", |json| json["eos_token_id"] = Value::Null);
            edit_json(files, "tokenizer.json", |json| json["added_tokens"] = json!([]));
        }), "no end-of-turn token|add eos_token_id"),

        ("tokenizer is empty", replace("tokenizer.json", b""), "tokenizer.json|download the file again"),
        ("tokenizer is cut short", Box::new(|files| files.get_mut("tokenizer.json").unwrap().truncate(3000)), "tokenizer.json|download"),
        ("tokenizer is an object without parts", replace("tokenizer.json", b"{}"), "tokenizer.json|download"),
        ("tokenizer without a vocabulary", tokenizer(|json| json["model"]["vocab"] = json!({})), "tokenizer.json"),
        ("tokenizer with no tokens and no merges", tokenizer(|json| json["model"] = json!({"type": "BPE", "vocab": {}, "merges": []})), "tokenizer.json|0 tokens|mixed"),
        ("merges of unknown tokens", tokenizer(|json| json["model"]["merges"][0] = json!("zz yy")), "tokenizer.json"),
        ("merges that are no pairs", tokenizer(|json| json["model"]["merges"][0] = json!("x")), "tokenizer.json"),
        ("token ids that are texts", tokenizer(|json| json["model"]["vocab"]["a"] = json!("1")), "tokenizer.json"),
        ("an unknown kind of tokenizer", tokenizer(|json| json["model"]["type"] = json!("Magic")), "tokenizer.json|download"),
        ("a token id past everything", tokenizer(|json| json["model"]["vocab"]["never"] = json!(u32::MAX)), "tokenizer.json|the network knows 520"),

        ("template is broken", template("{% if %}"), "chat template cannot be read"),
        ("template refuses", template("{{ raise_exception('only tools') }}"), "only tools"),
        ("template names an unknown function", template("{{ nothing() }}"), "chat template"),
        ("template gives nothing", template(""), "empty prompt|another conversion"),
        ("template calls itself", template("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"), "chat template"),
        ("template counts far", template("{% for i in range(1000000000000) %}x{% endfor %}"), "chat template"),
        ("template repeats a text without end", template("{{ 'x' * 9999999999999 }}"), "chat template"),
        ("tokenizer_config is no JSON", replace("tokenizer_config.json", b"{"), "tokenizer_config.json|download the file again"),
        ("template is a number", replace("tokenizer_config.json", b"{\"chat_template\": 3}"), "no chat template"),

        ("weights are empty", replace("model.safetensors", b""), "model.safetensors|download the file again"),
        ("weights are a web page", replace("model.safetensors", b"<!DOCTYPE html><html>not found</html>"), "model.safetensors|download"),
        ("header longer than the file", replace("model.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"), "model.safetensors|download"),
        ("header that nests deeply", Box::new(|files| {
            let nested = "[".repeat(50_000);
            files.insert("model.safetensors".to_owned(), [&(nested.len() as u64).to_le_bytes()[..], nested.as_bytes()].concat());
        }), "model.safetensors|download"),
        ("a head of its own that is missing", config("tie_word_embeddings", json!(false)), "lm_head.weight is missing|tie_word_embeddings"),
        ("a missing file of weights", Box::new(|files| {
            let weights = files.remove("model.safetensors").unwrap();
            files.insert("model-00001-of-00002.safetensors".to_owned(), weights);
            let index = br#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
            files.insert("model.safetensors.index.json".to_owned(), index.to_vec());
        }), "the file model-00002-of-00002.safetensors is missing|download it"),
        ("a missing tensor", header(|json| { json["x"] = json["model.norm.weight"].take(); json.as_object_mut().unwrap().remove("model.norm.weight"); }), "model.norm.weight|missing"),
        ("offsets past the end", header(|json| json["model.norm.weight"]["data_offsets"] = json!([0, u64::MAX])), "model.safetensors|download"),
        ("offsets that go back", header(|json| json["model.norm.weight"]["data_offsets"] = json!([64, 0])), "model.safetensors|download"),
        ("a shape that overflows", header(|json| json["model.norm.weight"]["shape"] = json!([u64::MAX, u64::MAX])), "model.safetensors|download"),
        ("a shape larger than its bytes", header(|json| json["model.norm.weight"]["shape"] = json!([1_000_000_000])), "model.safetensors|download"),
        ("another shape", header(|json| json["model.norm.weight"]["shape"] = json!([4, 8])), "model.norm.weight|[4, 8]|[32]"),
        ("whole numbers", header(|json| json["model.norm.weight"]["dtype"] = json!("I32")), "model.norm.weight|missing"),
        ("an unknown type", header(|json| json["model.norm.weight"]["dtype"] = json!("Q9")), "model.safetensors|download"),
        ("bytes after the last tensor", Box::new(|files| files.get_mut("model.safetensors").unwrap().extend(b"more")), "model.safetensors|download"),
        ("weights that are no numbers", weights(f32::NAN), "damaged|download"),
        ("weights without end", weights(f32::INFINITY), "damaged|download"),
    ]
}

#[test]
fn damaged_folders_are_refused_with_the_file_and_a_remedy() {
    let whole: Files = model().files(Storage::F32, 1).into_iter().collect();
    let folder = tempfile::tempdir().unwrap();
    let mut complaints = Vec::new();
    for (index, (what, damage, parts)) in damaged_folders().into_iter().enumerate() {
        let mut files = whole.clone();
        damage(&mut files);
        assert!(files != whole, "{what}: nothing was damaged");
        let path = folder.path().join(index.to_string());
        let source = write_files(&path, &files.into_iter().collect::<Vec<_>>());
        let parts = format!("{}|{parts}", path.display());
        complaints.extend(complaint(&source, &parts).map(|complaint| format!("{what}: {complaint}")));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn unusual_but_whole_folders_are_accepted() {
    let accepted: Vec<(&str, Edit)> = vec![
        ("a number for a window that is off", config("sliding_window", json!(4096))),
        ("rope base where transformers 5 has it", config("rope_parameters", json!({"rope_type": "default", "rope_theta": 50_000.0}))),
        ("an end token listed twice", config("eos_token_id", json!([518, 518]))),
        ("end token named by the tokenizer alone", config("eos_token_id", Value::Null)),
        ("an end token outside the vocabulary", config("eos_token_id", json!([4_000_000, 518]))),
        (
            "an end token of the tokenizer's own",
            Box::new(|files| {
                edit_json(files, "tokenizer_config.json", |json| json["eos_token"] = json!({"content": "<|endoftext|>", "special": true}));
            }),
        ),
        (
            "no end token in any configuration",
            Box::new(|files| {
                edit_json(files, "config.json", |json| json["eos_token_id"] = Value::Null);
                edit_json(files, "tokenizer_config.json", |json| json["eos_token"] = Value::Null);
            }),
        ),
        (
            "an index that is left over",
            replace("model.safetensors.index.json", br#"{"weight_map": {"a": "model-00001-of-00002.safetensors"}}"#),
        ),
        ("a quantisation that is null", config("quantization_config", Value::Null)),
        ("a broken generation_config", replace("generation_config.json", b"{")),
        ("no decoder", tokenizer(|json| json["decoder"] = Value::Null)),
        ("a buffer of another type", {
            Box::new(|files| {
                let extra = br#"{"inv_freq":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
                let file = [&(extra.len() as u64).to_le_bytes()[..], extra, &[0; 8]].concat();
                files.insert("extra.safetensors".to_owned(), file);
            })
        }),
    ];
    let whole: Files = model().files(Storage::F32, 1).into_iter().collect();
    let folder = tempfile::tempdir().unwrap();
    let plain = try_out(&write_files(&folder.path().join("plain"), &whole.clone().into_iter().collect::<Vec<_>>())).unwrap().unwrap();
    for (index, (what, edit)) in accepted.into_iter().enumerate() {
        let mut files = whole.clone();
        edit(&mut files);
        let source = write_files(&folder.path().join(index.to_string()), &files.into_iter().collect::<Vec<_>>());
        let scored = try_out(&source).unwrap().unwrap_or_else(|error| panic!("{what}: {error}"));
        let (ours, plain) = (&scored.answers[0], &plain.answers[0]);
        assert_eq!(ours.log_prob, plain.log_prob, "{what}");
        // Then `<|endoftext|>` ends the turn too.
        let more_ends = ["an end token of the tokenizer's own", "no end token in any configuration"].contains(&what);
        assert_eq!(ours.log_prob_end > plain.log_prob_end, more_ends, "{what}: {ours:?} against {plain:?}");
        assert!(ours.log_prob_end >= plain.log_prob_end, "{what}: {ours:?} against {plain:?}");
    }
}

#[test]
fn a_rope_base_of_transformers_5_is_used() {
    let model = model();
    let folder = tempfile::tempdir().unwrap();
    let score = |name: &str, edit: &dyn Fn(&mut Value)| {
        let mut files: Files = model.files(Storage::F32, 1).into_iter().collect();
        edit_json(&mut files, "config.json", edit);
        let source = write_files(&folder.path().join(name), &files.into_iter().collect::<Vec<_>>());
        try_out(&source).unwrap().unwrap().answers[0].log_prob
    };
    let (old, default) = (score("old", &|_| {}), score("default", &|json| drop(json.as_object_mut().unwrap().remove("rope_theta"))));
    let new = score("new", &|json| {
        json.as_object_mut().unwrap().remove("rope_theta");
        json["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 50_000.0});
    });
    assert!(old == new && old != default, "{old}, {new} and {default}");
}

#[test]
fn a_tokenizer_that_was_saved_with_truncation_still_reads_whole_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Files = model().files(Storage::F32, 1).into_iter().collect();
    edit_json(&mut files, "tokenizer.json", |json| {
        json["truncation"] = json!({"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0});
        json["padding"] = json!({"strategy": {"Fixed": 400}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,
            "pad_token": "<|endoftext|>"});
    });
    let router = open(&write_files(folder.path(), &files.into_iter().collect::<Vec<_>>()));
    assert_eq!(router.prompt_tokens("Sort a list of numbers").unwrap(), model().load().prompt_tokens("Sort a list of numbers").unwrap());
}

#[test]
fn an_added_token_outside_the_network_is_refused_where_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Files = model().files(Storage::F32, 1).into_iter().collect();
    edit_json(&mut files, "tokenizer.json", |json| {
        // Ids are counted on from the last token; the embedding has one row to spare.
        for id in 519..523 {
            let mut pad = json["added_tokens"][0].clone();
            (pad["id"], pad["content"]) = (json!(id), json!(format!("<pad{id}>")));
            json["added_tokens"].as_array_mut().unwrap().push(pad);
        }
    });
    let mut router = open(&write_files(folder.path(), &files.into_iter().collect::<Vec<_>>()));
    let mut score = |names: &[&str], message: &str| router.score(DialectId::Archgw031, names, message, &CancelToken::default());
    assert!(score(&["code"], "Sort <pad519> a list").is_ok());
    for error in [score(&["code"], "Sort <pad522> a list").unwrap_err(), score(&["<pad522>"], "Sort a list").unwrap_err()] {
        assert!(matches!(error, EngineError::Request(_)), "the rest of a set goes on: {error:?}");
        let sentence = error.to_string();
        assert!(["tokenizer.json", "<pad522>", "token 522", "mixed"].iter().all(|part| sentence.contains(part)), "{sentence}");
    }
}

#[test]
fn safetensors_cut_short_anywhere_are_refused() {
    let files = model().files(Storage::F16, 1);
    let folder = tempfile::tempdir().unwrap();
    let source = write_files(folder.path(), &files);
    let path = folder.path().join("model.safetensors");
    cut_short(&path, &source, 211);
}

#[test]
fn gguf_files_cut_short_anywhere_are_refused() {
    let (file, _) = model().gguf(candle_core::quantized::GgmlDType::Q8_0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let source = file.write(&path);
    cut_short(&path, &source, 131);
    // The header byte by byte at its start, where the counts are.
    std::fs::write(&path, &file.bytes()[..120]).unwrap();
    cut_short(&path, &source, 1);
}

/// What the list of routers says of one that the user named.
fn line_of(source: &RouterSource) -> ListedRouter {
    line_at(&Place::of(DeviceChoice::Cpu), source)
}

fn line_at(place: &Place, source: &RouterSource) -> ListedRouter {
    let routers = list_routers(std::slice::from_ref(source), place, Some(Path::new("/nowhere")));
    routers.into_iter().find(|router| router.source == *source).unwrap()
}

/// The same: bytes on disk and in memory.
fn listed(source: &RouterSource) -> (u64, u64) {
    let router = line_of(source);
    (router.disk_bytes.unwrap(), router.memory_bytes.unwrap())
}

#[test]
fn what_loading_refuses_for_its_head_is_not_listed_as_usable() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Files = model().files(Storage::F32, 1).into_iter().collect();
    let whole = write_files(&folder.path().join("whole"), &files.clone().into_iter().collect::<Vec<_>>());
    assert_eq!(line_of(&whole).presence, Presence::Here);
    config("tie_word_embeddings", json!(false))(&mut files);
    let headless = write_files(&folder.path().join("headless"), &files.into_iter().collect::<Vec<_>>());
    let Presence::Unusable(why) = line_of(&headless).presence else { panic!("is listed as usable") };
    assert!(why.contains("headless: the tensor lm_head.weight is missing"), "{why}");
}

#[test]
fn the_list_counts_what_loading_will_do() {
    use candle_core::quantized::GgmlDType::{F32, Q4_0, Q8_0};
    let folder = tempfile::tempdir().unwrap();
    let tiny = TinyModel::random(Shape::WIDE, 4);
    let [dense, slow, fast] = [F32, Q4_0, Q8_0].map(|dtype| {
        let path = folder.path().join(format!("{dtype:?}")).join("tiny.gguf");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        listed(&tiny.gguf(dtype).0.write(&path))
    });
    assert_eq!(slow.1, dense.1, "a small router of a slow type becomes f32");
    assert!(slow.0 < dense.0 && fast.1 < dense.1, "{fast:?} {dense:?}");

    // Many repositories have a GGUF file beside a config.json and no safetensors.
    let repository = folder.path().join("Q8_0");
    write_files(&repository, &[("config.json".to_owned(), tiny.config().to_string().into_bytes())]);
    assert_eq!(listed(&RouterSource::Folder(repository)), fast);
}

#[test]
fn on_a_large_card_quantised_weights_count_as_dense_ones() {
    use candle_core::quantized::GgmlDType::{F16, Q4K};
    let folder = tempfile::tempdir().unwrap();
    let tiny = TinyModel::random(Shape::WIDE, 4);
    let [half, quantised] = [F16, Q4K].map(|dtype| tiny.gguf(dtype).0.write(&folder.path().join(format!("{dtype:?}.gguf"))));
    let [small, large] = [0, 1 << 30].map(|small| Place { device: "cuda", small, ..Place::default() });
    let memory = |place: &Place, source: &RouterSource| line_at(place, source).memory_bytes.unwrap();
    assert_eq!(memory(&large, &quantised), memory(&large, &half));
    assert!(memory(&small, &quantised) < memory(&small, &half));

    let arch_router = RouterSource::Hub("katanemo/Arch-Router-1.5B.gguf:Q4_K_M".to_owned());
    let known = |place: &Place| memory(place, &arch_router);
    let whole = memory(&small, &RouterSource::Hub("katanemo/Arch-Router-1.5B".to_owned()));
    assert!(known(&large) < whole, "this card has no room for it in half precision");
    let roomy = Place { small: 12_000_000_000, ..large.clone() };
    assert_eq!(known(&roomy), whole);
    // What others have taken leaves room for the weights as they are in the file.
    let busy = Place { memory: Memory { total: 24_000_000_000, available: 4_000_000_000 }, ..roomy };
    assert_eq!(known(&busy), known(&large));
    let full = Place { memory: Memory { total: 24_000_000_000, available: 0 }, ..large.clone() };
    assert_eq!(memory(&full, &quantised), memory(&small, &quantised));
}

/// Cuts a file at every `step` bytes from its end on.
fn cut_short(path: &Path, source: &RouterSource, step: usize) {
    let whole = std::fs::read(path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    // Padding behind the last tensor may be missing.
    let mut length = whole.len().saturating_sub(33);
    while length > 0 {
        file.set_len(length as u64).unwrap();
        assert_refused(source, &format!("{}|download", path.display()), &format!("{length} of {} bytes", whole.len()));
        length = length.saturating_sub(step);
    }
}

type GgufDamage = (&'static str, Box<dyn Fn(&mut GgufFile)>, &'static str);

fn set(key: &'static str, value: Meta) -> Box<dyn Fn(&mut GgufFile)> {
    Box::new(move |file| file.set(key, value.clone()))
}

fn unset(key: &'static str) -> Box<dyn Fn(&mut GgufFile)> {
    Box::new(move |file| file.remove(key))
}

const NORM: &str = "output_norm.weight";

#[rustfmt::skip]
fn damaged_ggufs() -> Vec<GgufDamage> {
    // Lists of lists: each level is a list of one list.
    let nested = (0..60).fold(Meta::list(4, 0, &[]), |inner, _| Meta::list(9, 1, &inner.bytes));
    vec![
        ("an old version", Box::new(|file| file.version = 1), "version 1 is not supported|convert"),
        ("a version of the other byte order", Box::new(|file| file.version = 3_u32.swap_bytes()), "version"),
        ("more tensors than there are", Box::new(|file| file.claimed_tensors = Some(u64::MAX)), "download"),
        ("fewer tensors than there are", Box::new(|file| file.claimed_tensors = Some(3)), "missing"),
        ("more pairs than there are", Box::new(|file| file.claimed_pairs = Some(u64::MAX)), "cut short|download it again"),
        ("no pairs", Box::new(|file| file.claimed_pairs = Some(0)), "8 dimensions|download it again"),
        ("alignment of zero", set("general.alignment", Meta::u32(0)), "general.alignment|power of two|download it again"),
        ("alignment of three", set("general.alignment", Meta::u32(3)), "general.alignment"),
        ("huge alignment", set("general.alignment", Meta::u32(1 << 31)), "general.alignment"),
        ("alignment that is a text", set("general.alignment", Meta::text("32")), "general.alignment"),
        ("a value of an unknown type", set("x", Meta { kind: 99, bytes: vec![0; 8] }), "unknown type 99|download it again"),
        ("lists in lists", set("x", nested), "nests lists too deeply|download it again"),
        ("a list without end", set("x", Meta::list(4, u64::MAX, &[0; 64])), "cut short|download it again"),
        ("a list of texts without end", set("x", Meta::list(8, u64::MAX, &[0; 64])), "cut short|download it again"),
        ("a list of lists without end", set("x", Meta::list(9, u64::MAX, &[])), "unknown type|download it again"),
        ("a text without end", set("x", Meta { kind: 8, bytes: u64::MAX.to_le_bytes().to_vec() }), "cut short"),
        ("another architecture", set("general.architecture", Meta::text("llama")), "llama|qwen2"),
        ("no architecture", unset("general.architecture"), "architecture"),
        ("architecture that is a number", set("general.architecture", Meta::u32(2)), "architecture"),
        ("scaled rotation", set("qwen2.rope.scaling.type", Meta::text("yarn")), "scaled rotary|plain Qwen2"),
        ("no layers", set("qwen2.block_count", Meta::u32(0)), "number of layers of 0"),
        ("many layers", set("qwen2.block_count", Meta::u32(u32::MAX)), "number of layers"),
        ("more layers than there are", set("qwen2.block_count", Meta::u32(2)), "blk.1.|missing"),
        ("no layer count", unset("qwen2.block_count"), "qwen2.block_count|convert"),
        ("no heads", set("qwen2.attention.head_count", Meta::u32(0)), "number of heads of 0"),
        ("no key heads", set("qwen2.attention.head_count_kv", Meta::u32(0)), "number of key heads of 0"),
        ("no feed-forward size", unset("qwen2.feed_forward_length"), "qwen2.feed_forward_length"),
        ("another hidden size", set("qwen2.embedding_length", Meta::u32(64)), "mixed"),
        ("rope base of zero", set("qwen2.rope.freq_base", Meta::f32(0.0)), "rope_theta"),
        ("rope base that is no number", set("qwen2.rope.freq_base", Meta::f32(f32::NAN)), "rope_theta"),
        ("no context", unset("qwen2.context_length"), "qwen2.context_length"),
        ("no tokenizer", unset("tokenizer.ggml.model"), "tokenizer.ggml.model|another conversion"),
        ("no tokens", unset("tokenizer.ggml.tokens"), "tokenizer.ggml.tokens"),
        ("tokens that are numbers", set("tokenizer.ggml.tokens", Meta::list(4, 2, &[0; 8])), "tokenizer.ggml.tokens"),
        ("an empty list of tokens", set("tokenizer.ggml.tokens", Meta::texts([].into_iter())), "damaged|download"),
        ("more tokens than the network has", Box::new(|file| {
            let tokens: Vec<String> = (0..600).map(|id| format!("t{id}")).collect();
            file.set("tokenizer.ggml.tokens", Meta::texts(tokens.iter().map(String::as_str)));
            file.set("tokenizer.ggml.merges", Meta::texts([].into_iter()));
        }), "600 tokens|520|mixed"),
        ("no merges", unset("tokenizer.ggml.merges"), "tokenizer.ggml.merges"),
        ("merges of unknown tokens", set("tokenizer.ggml.merges", Meta::texts(["zz yy"].into_iter())), "damaged|download"),
        ("another kind of tokenizer", set("tokenizer.ggml.model", Meta::text("llama")), "llama|gpt2"),
        ("another way of cutting text", set("tokenizer.ggml.pre", Meta::text("deepseek-llm")), "deepseek-llm"),
        ("no template", unset("tokenizer.chat_template"), "tokenizer.chat_template|another conversion"),
        ("a broken template", set("tokenizer.chat_template", Meta::text("{% if")), "chat template cannot be read"),
        ("no end token anywhere", Box::new(|file| {
            let mut tokens = model().tokenizer.tokens;
            tokens.iter_mut().rev().take(SPECIAL.len()).for_each(|token| token.insert(0, 'x'));
            file.set("tokenizer.ggml.tokens", Meta::texts(tokens.iter().map(String::as_str)));
            file.set("tokenizer.ggml.eos_token_id", Meta::u32(u32::MAX));
        }), "no end-of-turn token|tokenizer.ggml.eos_token_id"),
        ("a beginning that is not named", set("tokenizer.ggml.add_bos_token", Meta::flag(true)), "tokenizer.ggml.bos_token_id|another conversion"),
        ("an unknown quantised type", Box::new(|file| file.tensor("blk.0.ffn_up.weight").kind = 16), "ffn_up.weight|unsupported type 16|Q4_K_M"),
        ("a type of the far future", Box::new(|file| file.tensor("blk.0.ffn_up.weight").kind = u32::MAX), "unsupported type"),
        ("an offset past the end", Box::new(|file| file.tensor(NORM).claimed_offset = Some(1 << 40)), "output_norm.weight|past the end|download it again"),
        ("an offset that overflows", Box::new(|file| file.tensor(NORM).claimed_offset = Some(u64::MAX)), "past the end"),
        ("an offset between numbers", Box::new(|file| file.tensor(NORM).claimed_offset = Some(1)), NORM),
        ("a shape that overflows", Box::new(|file| file.tensor(NORM).dims = vec![u64::MAX, u64::MAX]), "impossible shape|download it again"),
        ("a shape larger than the file", Box::new(|file| file.tensor(NORM).dims = vec![1 << 40]), "past the end"),
        ("an empty shape", Box::new(|file| file.tensor(NORM).dims = vec![0]), "impossible shape|download it again"),
        ("no shape", Box::new(|file| file.tensor(NORM).dims = vec![]), NORM),
        ("many dimensions", Box::new(|file| file.tensor(NORM).dims = vec![1; 100_000]), "100000 dimensions|download it again"),
        ("another shape", Box::new(|file| file.tensor(NORM).dims = vec![16]), "output_norm.weight|[16]|[32]"),
        ("rows that are no whole blocks", Box::new(|file| file.tensor("blk.0.ffn_up.weight").dims = vec![31, 32]), "ffn_up.weight|impossible shape"),
        ("a missing tensor", Box::new(|file| file.tensors.retain(|tensor| tensor.name != NORM)), "output_norm.weight|missing"),
        ("no embedding", Box::new(|file| file.tensors.retain(|tensor| tensor.name != "token_embd.weight")), "token_embd.weight|missing"),
        ("an embedding without a shape", Box::new(|file| file.tensor("token_embd.weight").dims = vec![]), "token_embd.weight"),
    ]
}

#[test]
fn damaged_gguf_files_are_refused_with_the_file_and_a_remedy() {
    let (whole, _) = model().gguf(candle_core::quantized::GgmlDType::Q8_0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    assert!(try_out(&whole.write(&path)).unwrap().is_ok());
    let mut complaints = Vec::new();
    for (what, damage, parts) in damaged_ggufs() {
        let mut file = whole.clone();
        damage(&mut file);
        assert!(file.bytes() != whole.bytes(), "{what}: nothing was damaged");
        let parts = format!("tiny.gguf|{parts}");
        complaints.extend(complaint(&file.write(&path), &parts).map(|complaint| format!("{what}: {complaint}")));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What a bit that tips on a disk does: whatever comes of it, it is no panic.
#[test]
fn single_damaged_bytes_never_panic() {
    let (whole, _) = model().gguf(candle_core::quantized::GgmlDType::Q4_0);
    let (header, bytes) = (whole.header().len(), whole.bytes());
    let folder = tempfile::tempdir().unwrap();
    let mut random = crate::tiny_model::Random(4);
    for round in 0..150 {
        let mut bytes = bytes.clone();
        // The first hundred bytes hold the counts; after them anywhere in the header.
        let at = if round % 3 == 0 { random.below(100) } else { random.below(header) };
        let value = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)];
        bytes[at] = value;
        let path = folder.path().join("tiny.gguf");
        std::fs::write(&path, bytes).unwrap();
        assert!(try_out(&RouterSource::Gguf(path)).is_ok(), "byte {at} set to {value}");
    }
    let files: Files = model().files(Storage::BF16, 1).into_iter().collect();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        for _ in 0..30 {
            let mut files = files.clone();
            let file = files.get_mut(name).unwrap();
            let at = random.below(file.len().min(4000));
            let value = b"\0\"[{9-}],x\xff"[random.below(11)];
            file[at] = value;
            let source = write_files(&folder.path().join("folder"), &files.into_iter().collect::<Vec<_>>());
            assert!(try_out(&source).is_ok(), "{name}, byte {at} set to {value}");
        }
    }
}

#[test]
fn paths_that_lead_nowhere_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::create_dir(at("folder.gguf")).unwrap();
    std::fs::write(at("empty.gguf"), b"").unwrap();
    std::fs::write(at("text.gguf"), b"This is no model, however long it may be.").unwrap();
    let cases: [(PathBuf, &str); 6] = [
        (at("missing.gguf"), "missing.gguf|check the path"),
        (at("missing/folder"), "missing/folder|check the path"),
        (at("empty"), "empty has no config.json|folder holds"),
        (at("folder.gguf"), "folder.gguf has no config.json"),
        (at("empty.gguf"), "empty.gguf|cut short"),
        (at("text.gguf"), "text.gguf|no GGUF file"),
    ];
    for (path, parts) in cases {
        for source in [RouterSource::Folder(path.clone()), RouterSource::Gguf(path.clone())] {
            assert_refused(&source, parts, parts);
        }
    }
    let named = [
        (RouterSource::Hub("nobody/has-this".to_owned()), "nobody/has-this|waypost models pull"),
        ("http://localhost:8000#m".parse().unwrap(), "http://localhost:8000"),
    ];
    for (source, parts) in named {
        assert_refused(&source, parts, parts);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_file_does_not_wait_for_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.gguf");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_refused(&RouterSource::Gguf(pipe), "pipe.gguf is not a file", "pipe");
}

#[test]
fn loading_can_be_cancelled_and_tells_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let source = TinyModel::random(Shape { layers: 3, ..SHAPE }, 2).write(folder.path(), Storage::F32, 1);
    let cancel = CancelToken::default();
    let mut seen = Vec::new();
    let mut progress = |progress: waypost::engine::Progress| {
        seen.push(progress.done);
        cancel.cancel();
    };
    assert_eq!(load(&source, DeviceChoice::Cpu, &mut progress, &cancel).err(), Some(EngineError::Cancelled));
    assert_eq!(seen, [1], "the second layer was not read");
}
