//! The network held to candle-transformers' on tiny random weights: every way of storing them, every shape, every quantised type.

use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device};
use waypost::chat::Conversation;
use waypost::decision::Decision;
use waypost::engine::{CancelToken, Candidates, EngineError, LocalRouter, Opened, RouteRequest, Router, RouterSource, load_on};
use waypost::policy::{DialectId, Policy, Route};

use crate::tiny_model::gguf::{GgufFile, Meta};
use crate::tiny_model::{Reference, Shape, Storage, TEMPLATE, TinyModel, gpus, open};

const NAMES: [&str; 6] = ["code_generation", "code", "say \"hi\"!", "naïve 京🚄", "other things", "ex"];

/// Rounding of f32 over a few hundred tokens; the reference computes its angles in f32 where Waypost has f64.
const F32_TOLERANCE: f64 = 1e-4;

/// Scores a question in every dialect and compares it with the reference; returns the largest difference.
fn agree(router: &mut LocalRouter, reference: &mut Reference, tolerance: f64) -> f64 {
    let mut worst = 0.0_f64;
    for dialect in DialectId::ALL {
        let message = "Find the best route: sort a list of numbers. Straße, 東京 🚄\n\n  1234";
        let scored = router.score(dialect, &NAMES, message, &CancelToken::default()).unwrap();
        let prompt = router.prompt_tokens(message).unwrap();
        worst = worst.max(reference.check(&scored, &prompt, dialect, &NAMES, tolerance));
    }
    worst
}

#[test]
fn every_shape_agrees_with_candle_in_f32() {
    let small = Shape::SMALL;
    let shapes = [
        small,
        Shape { tied: true, ..small },
        Shape { kv_heads: 4, ..small },
        Shape { kv_heads: 1, layers: 1, ..small },
        Shape { hidden: 72, heads: 6, kv_heads: 3, intermediate: 40, ..small },
    ];
    for (seed, shape) in shapes.into_iter().enumerate() {
        let model = TinyModel::random(shape, seed as u64);
        agree(&mut model.load(), &mut Reference::new(&model), F32_TOLERANCE);
    }
}

#[test]
fn every_precision_of_safetensors_agrees_also_in_two_files() {
    for storage in [Storage::F32, Storage::BF16, Storage::F16] {
        for shards in [1, 2] {
            let model = TinyModel::random(Shape::SMALL, 7).rounded(storage);
            let folder = tempfile::tempdir().unwrap();
            let mut router = open(&model.write(folder.path(), storage, shards));
            agree(&mut router, &mut Reference::new(&model), F32_TOLERANCE);
        }
    }
}

#[test]
fn gguf_types_that_become_f32_agree_with_the_numbers_they_stand_for() {
    use GgmlDType::{BF16, F16, F32, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
    let folder = tempfile::tempdir().unwrap();
    for (seed, dtype) in [F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1].into_iter().enumerate() {
        let shape = Shape { tied: seed % 2 == 1, ..Shape::SMALL };
        let (file, held) = TinyModel::random(shape, seed as u64).gguf(dtype);
        let mut router = open(&file.write(&folder.path().join("tiny.gguf")));
        agree(&mut router, &mut Reference::new(&held), F32_TOLERANCE);
    }
}

/// Weights are the same blocks and products the same integers, so most scores agree to f32 rounding. But each product first rounds its input
/// to 8 bits: where rounding of f32 tips one of these, a score moves as much as 8 bits allow, which for sums of about 100 is some tenths.
#[test]
fn gguf_types_that_stay_quantised_agree_with_candle() {
    use GgmlDType::{Q4K, Q6K, Q8_0};
    quantised_agree(&[Q8_0, Q4K, Q6K, Q4K, Q6K, Q8_0], open);
}

/// Products with these types are slow, and large routers are computed with them all the same: as f32 they would take too much memory.
#[test]
fn gguf_types_that_stay_quantised_in_large_routers_agree_with_candle() {
    use GgmlDType::{Q2K, Q3K, Q4_0, Q4_1, Q5_0, Q5_1, Q5K};
    let as_large = |source: &RouterSource| load_first(vec![Opened { small: 0, ..stand_in("cpu", DType::F32) }], source).unwrap();
    quantised_agree(&[Q4_0, Q4_1, Q5_0, Q5_1, Q2K, Q3K, Q5K, Q5K], as_large);
}

fn quantised_agree(dtypes: &[GgmlDType], load: impl Fn(&RouterSource) -> LocalRouter) {
    let folder = tempfile::tempdir().unwrap();
    let mut differences = Vec::new();
    for (seed, &dtype) in dtypes.iter().enumerate() {
        let tied = seed % 2 == 0;
        let mut model = TinyModel::random(Shape { tied, ..Shape::WIDE }, seed as u64);
        if !tied {
            // Ends its turn at once: candle's threads wait for each other by spinning, which makes decoding slow on a busy machine.
            model.teach("", 40.0);
        }
        let (file, held) = model.gguf(dtype);
        let mut router = load(&file.write(&folder.path().join("tiny.gguf")));
        assert_eq!(router.description().info.dtype, format!("{dtype:?}").to_lowercase(), "the weights did not stay as they are");
        let mut reference = Reference::quantised(&file.bytes(), &held);
        let scored = router.score(DialectId::Archgw031, &NAMES[1..2], "Sort a list", &CancelToken::default()).unwrap();
        assert!(tied || scored.proved, "{dtype:?} was to end its turn at once: {scored:?}");
        let prompt = router.prompt_tokens("Sort a list").unwrap();
        for answer in &scored.answers {
            let expected = reference.answer(&prompt, DialectId::Archgw031, answer.route.map(|_| NAMES[1]));
            let difference = (answer.log_prob_end - expected.log_prob_end).abs();
            assert!(difference < 0.5, "{dtype:?}: {answer:?} against {expected:?}");
            differences.push(difference);
        }
    }
    differences.sort_by(f64::total_cmp);
    assert!(differences[differences.len() / 2] < 1e-4, "half of the scores should agree to rounding: {differences:?}");
}

/// Products with these types are slow, so a router that is small enough becomes f32: the numbers are those that the blocks stand for.
#[test]
fn a_small_gguf_of_a_slow_type_becomes_f32() {
    use GgmlDType::{Q2K, Q3K, Q4_0, Q4_1, Q5_0, Q5_1};
    let folder = tempfile::tempdir().unwrap();
    for (seed, dtype) in [Q4_0, Q4_1, Q5_0, Q5_1, Q2K, Q3K].into_iter().enumerate() {
        let (file, held) = TinyModel::random(Shape::WIDE, seed as u64).gguf(dtype);
        let mut router = open(&file.write(&folder.path().join("tiny.gguf")));
        assert_eq!(router.description().info.dtype, "f32");
        agree(&mut router, &mut Reference::new(&held), F32_TOLERANCE);
    }
}

#[test]
fn a_file_that_stays_quantised_in_part_says_so() {
    let shape = Shape { hidden: 96, heads: 2, kv_heads: 1, intermediate: 256, ..Shape::SMALL };
    let (file, held) = TinyModel::random(shape, 3).gguf(GgmlDType::Q8_0);
    let folder = tempfile::tempdir().unwrap();
    let mut router = open(&file.write(&folder.path().join("mixed.gguf")));
    assert_eq!(router.description().info.dtype, "f32+q8_0", "rows of 96 become f32, those of 256 stay");
    // The products that stay round their input to 8 bits.
    let scored = router.score(DialectId::Plano0420, &NAMES, "Sort a list", &CancelToken::default()).unwrap();
    let prompt = router.prompt_tokens("Sort a list").unwrap();
    Reference::new(&held).check(&scored, &prompt, DialectId::Plano0420, &NAMES, 0.5);
}

#[test]
fn prompts_longer_than_a_chunk_agree() {
    let model = TinyModel::random(Shape { layers: 1, ..Shape::SMALL }, 11);
    let (mut router, mut reference) = (model.load(), Reference::new(&model));
    for characters in [1000, 1024, 2500] {
        // Characters that no merge joins, one token each; with the template the first is just above a chunk and the second at twice as much.
        let message: String = "qzxj".chars().cycle().take(characters).collect();
        let prompt = router.prompt_tokens(&message).unwrap();
        assert!(prompt.len() > 1024 || characters == 1000, "{} tokens are no long prompt", prompt.len());
        let scored = router.score(DialectId::ModelCard, &NAMES[..1], &message, &CancelToken::default()).unwrap();
        // The reference's angles are products in f32: at position 2500 they are off by 1e-4.
        reference.check(&scored, &prompt, DialectId::ModelCard, &NAMES[..1], 2e-3);
    }
}

#[test]
fn a_prompt_beyond_the_context_is_refused_with_both_numbers() {
    let model = TinyModel::random(Shape { context: 120, layers: 1, ..Shape::SMALL }, 12);
    let mut router = model.load();
    let mut refused = 0;
    for characters in 60..130 {
        let message = "q".repeat(characters);
        let prompt = router.prompt_tokens(&message).unwrap().len();
        match router.score(DialectId::Archgw031, &["code"], &message, &CancelToken::default()) {
            Ok(scored) => assert!(scored.tokens.prompt == prompt && prompt < 120 && refused == 0),
            Err(error) => {
                refused += 1;
                let sentence = error.to_string();
                assert!(sentence.contains(&format!("the prompt has {prompt} tokens")) && sentence.contains("reads 120"), "{sentence}");
            }
        }
    }
    assert!((1..70).contains(&refused), "{refused} of 70 were refused");
}

/// A GPU's way through the network, out of candle's own operations, which the CPU has as well: every type but f32 takes it.
fn stand_in(name: &'static str, dtype: DType) -> Opened {
    Opened { device: Device::Cpu, name, dtype, small: 1 << 30 }
}

fn load_first(devices: Vec<Opened>, source: &RouterSource) -> Result<LocalRouter, EngineError> {
    load_on(Candidates { devices, refused: Vec::new() }, source, &mut |_| {}, &CancelToken::default())
}

/// Holds what stands in for a GPU that computes in this type, and the GPUs of this machine that do, to the CPU.
fn agree_in(dtype: DType, source: &RouterSource, tolerance: f64) {
    agree_on(stand_in("cuda", dtype), source, tolerance);
    for gpu in gpus().into_iter().filter(|gpu| gpu.dtype == dtype) {
        // With room for dense weights, and without.
        agree_on(gpu.clone(), source, tolerance);
        agree_on(Opened { small: 0, ..gpu }, source, tolerance);
    }
}

/// Scores the same questions on the CPU in f32 and on this device, with prompts whose beginning is cached, some decoding, and a prompt that takes
/// several passes.
fn agree_on(device: Opened, source: &RouterSource, tolerance: f64) {
    let (name, dtype) = (device.name, device.dtype);
    let (mut own, mut composed) = (open(source), load_first(vec![device], source).unwrap());
    own.set_max_decoded(2);
    composed.set_max_decoded(2);
    assert_eq!(composed.description().info.device, name);
    let asked =
        [("Sort a list of numbers", DialectId::Archgw031), ("Sort a list of words", DialectId::Plano0420), ("Plan", DialectId::Plano0420)];
    for (at, (message, dialect)) in asked.into_iter().enumerate() {
        if at == 2 {
            own.clear_cache();
            composed.clear_cache();
            composed.set_pass(24);
        }
        let score = |router: &mut LocalRouter| router.score(dialect, &NAMES, message, &CancelToken::default()).unwrap();
        let (expected, found) = (score(&mut own), score(&mut composed));
        assert_eq!((found.tokens.prompt, found.tokens.cached), (expected.tokens.prompt, expected.tokens.cached));
        assert_eq!(found.answers.len(), expected.answers.len());
        for (found, expected) in found.answers.iter().zip(&expected.answers) {
            let difference = (found.log_prob_end - expected.log_prob_end).abs();
            assert!(difference < tolerance, "{dtype:?}: {found:?} against {expected:?}");
        }
    }
    assert!(composed.cache_stats().hit_tokens > 0, "the second prompt begins as the first");
}

/// A mask or a rotation that is off by one moves the scores of such answers by some tenths; rounding to f16 by hundredths, to bf16 by tenths.
#[test]
fn half_precision_agrees_with_f32_to_its_rounding() {
    let folder = tempfile::tempdir().unwrap();
    for tied in [false, true] {
        let source = TinyModel::random(Shape { tied, ..Shape::SMALL }, 21).write(folder.path(), Storage::F32, 1);
        agree_in(DType::F16, &source, 0.15);
        agree_in(DType::BF16, &source, 1.2);
    }
}

/// Here f32 and f16 also round the inputs of products to 8 bits in blocks of their own.
#[test]
fn quantised_weights_agree_in_half_precision() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in [GgmlDType::Q8_0, GgmlDType::Q4K] {
        let (file, _) = TinyModel::random(Shape::WIDE, 22).gguf(dtype);
        let source = file.write(&folder.path().join("tiny.gguf"));
        for half in [DType::F16, DType::BF16] {
            agree_in(half, &source, 2.0);
        }
    }
}

/// Conversations of different lengths over one policy, which a pass computes apart from each other, and prompts that are made meanwhile.
#[test]
fn many_at_once_agree_in_half_precision() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = TinyModel::random(Shape::SMALL, 24);
    // So that all of these tiny probabilities are far from nothing.
    model.teach("{\"route\": \"code\"}", 4.0);
    let source = model.write(folder.path(), Storage::F32, 1);
    let route = |name: &str| Route::new(name, format!("Everything about {name}"));
    let policy = Arc::new(Policy { routes: ["code", "math", "law"].map(route).to_vec(), ..Policy::default() });
    let request = |length: usize| {
        let conversation = Conversation::from_prompt("sort numbers ".repeat(1 + length * 7 % 23));
        RouteRequest::new(Arc::clone(&policy), conversation, DialectId::Archgw031)
    };
    let decide = |router: &mut LocalRouter| {
        router.set_max_decoded(1);
        let mut found = Vec::new();
        let mut done = |index: usize, result: Result<Decision, EngineError>| found.push((index, result.unwrap()));
        router.decide_all(&mut (0..40).map(request), &mut done, &CancelToken::default()).unwrap();
        found.sort_by_key(|(index, _)| *index);
        found
    };
    let expected = decide(&mut open(&source));
    for device in std::iter::once(stand_in("cuda", DType::F16)).chain(gpus()) {
        let tolerance = if device.dtype == DType::F16 { 0.15 } else { 1.2 };
        let mut router = load_first(vec![device], &source).unwrap();
        router.set_pass(2048);
        let found = decide(&mut router);
        assert_eq!(found.len(), expected.len());
        for ((index, found), (expected_index, expected)) in found.iter().zip(&expected) {
            assert_eq!((index, found.tokens.prompt), (expected_index, expected.tokens.prompt));
            for (found, expected) in found.probabilities.iter().zip(&expected.probabilities) {
                assert_eq!(found.route, expected.route);
                assert!((found.p.ln() - expected.p.ln()).abs() < tolerance, "{index}: {found:?} against {expected:?}");
            }
        }
        assert!(found[30].1.tokens.cached > found[0].1.tokens.cached, "what prompts have in common is computed once");
    }
}

#[test]
fn a_device_that_cannot_compute_the_router_gives_way_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = TinyModel::random(Shape::SMALL, 23);
    let source = model.write(folder.path(), Storage::F32, 1);
    // Has no norm, which shows itself where the first tokens go through.
    let broken = || stand_in("cuda", DType::I64);
    let cpu = || stand_in("cpu", DType::F32);
    let router = load_first(vec![broken(), cpu()], &source).unwrap();
    let description = router.description();
    assert_eq!((description.info.device.as_str(), description.info.dtype.as_str()), ("cpu", "f32"));
    assert!(description.refused.len() == 1 && description.refused[0].starts_with("cuda failed ("), "{:?}", description.refused);
    assert!(load_first(vec![cpu()], &source).unwrap().description().refused.is_empty());
    match load_first(vec![broken()], &source).err() {
        Some(EngineError::Router(sentence)) => assert!(sentence.contains("--device cpu"), "{sentence}"),
        other => panic!("loading should fail with status 3: {other:?}"),
    }
    model.weight("model.norm.weight").values[0] = f32::NAN;
    let source = model.write(folder.path(), Storage::F32, 1);
    let router = load_first(vec![stand_in("metal", DType::F16), cpu()], &source).unwrap();
    let description = router.description();
    assert_eq!(description.info.device, "cpu", "what computes no numbers is not used");
    assert!(description.refused[0].starts_with("metal failed (it computes no numbers"), "{:?}", description.refused);
}

#[test]
fn a_gguf_file_is_cut_as_llama_cpp_cuts_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, _) = TinyModel::random(Shape::SMALL, 7).gguf(GgmlDType::Q8_0);
    let tokens = |file: &GgufFile, text: &str| open(&file.write(&folder.path().join("router.gguf"))).prompt_tokens(text).unwrap();
    assert_ne!(tokens(&file, "r\u{e9}server"), tokens(&file, "re\u{301}server"), "the text was normalised");
    let mut as_said = |way: &str| {
        file.set("tokenizer.ggml.pre", Meta::text(way));
        tokens(&file, "say \"hi\"")
    };
    let (gpt2, default) = (as_said("gpt-2"), as_said("default"));
    assert!(default.len() > gpt2.len(), "punctuation leaves the space before it alone");
    file.remove("tokenizer.ggml.pre");
    assert_eq!(tokens(&file, "say \"hi\""), default);
}

#[test]
fn a_gguf_prompt_begins_with_the_token_that_the_file_asks_for_and_never_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let model = TinyModel::random(Shape::SMALL, 7);
    let (mut file, _) = model.gguf(GgmlDType::Q8_0);
    let tokens = |file: &GgufFile| open(&file.write(&folder.path().join("router.gguf"))).prompt_tokens("Sort a list").unwrap();
    let bos = model.tokenizer.id("<|endoftext|>");
    file.set("tokenizer.ggml.bos_token_id", Meta::u32(bos));
    let plain = tokens(&file);
    file.set("tokenizer.ggml.add_bos_token", Meta::flag(true));
    let begun = tokens(&file);
    assert_eq!((begun[0], &begun[1..]), (bos, plain.as_slice()));
    file.set("tokenizer.chat_template", Meta::text(&format!("{{{{ bos_token }}}}{TEMPLATE}")));
    assert_eq!(tokens(&file), begun);
}

#[test]
fn a_gguf_turn_ends_where_llama_cpp_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = TinyModel::random(Shape::SMALL, 3);
    model.teach("{\"route\": \"code\"}<|endoftext|>", 60.0);
    let (mut file, _) = model.gguf(GgmlDType::F32);
    // The file's own end token may be anything.
    for eos in [model.tokenizer.im_end(), u32::MAX] {
        file.set("tokenizer.ggml.eos_token_id", Meta::u32(eos));
        let mut router = open(&file.write(&folder.path().join("router.gguf")));
        let scored = router.score(DialectId::Archgw031, &["code"], "Sort a list", &CancelToken::default()).unwrap();
        assert!(scored.proved && scored.ended && scored.greedy == "{\"route\": \"code\"}", "{scored:?}");
    }
}
