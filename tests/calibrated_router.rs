//! A router in one file with its calibration beside it, as the built-in router is kept.

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use waypost::chat::Conversation;
use waypost::decision::Decision;
use waypost::engine::{CancelToken, DeviceChoice, RouteRequest, Router as _, RouterSource, load};
use waypost::policy::{DialectId, Policy, Route};

use crate::tiny_model::{Shape, TinyModel, open};

fn folder_with(json: Option<&str>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = TinyModel::random(Shape::SMALL, 5).gguf(GgmlDType::Q8_0);
    file.write(&folder.path().join("router.gguf"));
    if let Some(json) = json {
        std::fs::write(folder.path().join("router.json"), json).unwrap();
    }
    folder
}

fn decide(folder: &Path, dialect: DialectId) -> Decision {
    let route = |name: &str| Route { name: name.to_owned(), description: format!("All about {name}"), ..Route::default() };
    let policy = Policy { routes: ["code", "math", "law"].map(route).to_vec(), ..Policy::default() };
    let request = RouteRequest {
        policy: Arc::new(policy),
        conversation: Arc::new(Conversation::from_prompt("Sort a list")),
        dialect,
        budget: None,
        orders: 0,
        seed: 0,
    };
    open(&RouterSource::Folder(folder.to_owned())).decide(&request, &mut |_| {}, &CancelToken::default()).unwrap()
}

#[test]
fn a_temperature_changes_what_is_shown_and_nothing_else() {
    for dialect in [DialectId::Archgw031, DialectId::Plano0420] {
        let plain = decide(folder_with(None).path(), dialect);
        let warm = decide(folder_with(Some(r#"{"temperature": 2.5}"#)).path(), dialect);
        assert_eq!((warm.outcome, &warm.route, &warm.answer), (plain.outcome, &plain.route, &plain.answer));
        let shares = |decision: &Decision| -> Vec<f64> {
            decision.probabilities.iter().map(|route| route.p).chain([decision.invalid_mass]).collect()
        };
        let total: f64 = shares(&plain).iter().map(|p| (p.ln() / 2.5).exp()).sum();
        for (before, after) in shares(&plain).into_iter().zip(shares(&warm)) {
            let expected = (before.ln() / 2.5).exp() / total;
            assert!((after - expected).abs() < 1e-9, "{before} became {after} where {expected} is right");
        }
        let margin = warm.probabilities[0].p - warm.probabilities[1].p;
        assert!((warm.margin - margin).abs() < 1e-12);
        // A random network gives its answers next to nothing, so what counts is the ratio.
        assert!(warm.probabilities[0].p > 2.0 * plain.probabilities[0].p, "the temperature changed nothing");
    }
}

#[test]
fn a_calibration_that_is_none_is_refused() {
    for json in ["{}", "{\"temperature\": 0}", "{\"temperature\": -1}", "{\"temperature\": \"1\"}", "2", "{\"temperature\": 1e999}"] {
        let folder = folder_with(Some(json));
        let source = RouterSource::Folder(folder.path().to_owned());
        let Err(error) = load(&source, DeviceChoice::Cpu, &mut |_| {}, &CancelToken::default()) else { panic!("{json} was taken") };
        assert!(error.to_string().contains("router.json") && error.to_string().contains("{\"temperature\": 1.0}"), "{error}");
    }
}

#[test]
fn a_folder_with_several_files_asks_for_one() {
    let folder = folder_with(None);
    std::fs::copy(folder.path().join("router.gguf"), folder.path().join("z.gguf")).unwrap();
    let source = RouterSource::Folder(folder.path().to_owned());
    let Err(error) = load(&source, DeviceChoice::Cpu, &mut |_| {}, &CancelToken::default()) else { panic!("one of the two was taken") };
    assert!(error.to_string().ends_with("/z.gguf") && error.to_string().contains("several"), "{error}");
}
