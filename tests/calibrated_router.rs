//! A router in one file with its calibration beside it, as the built-in router is kept.

use std::path::Path;

use candle_core::quantized::GgmlDType;
use waypost::chat::Conversation;
use waypost::decision::{Decision, RouterInfo};
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
    let request = RouteRequest::new(policy, Conversation::from_prompt("Sort a list"), dialect);
    open(&RouterSource::Folder(folder.to_owned())).decide(&request, &mut |_| {}, &CancelToken::default()).unwrap()
}

#[test]
fn a_temperature_changes_what_is_shown_and_nothing_else() {
    for dialect in [DialectId::Archgw031, DialectId::Plano0420] {
        let plain = decide(folder_with(None).path(), dialect);
        let warm = decide(folder_with(Some(r#"{"temperature": 2.5}"#)).path(), dialect);
        assert_eq!((warm.outcome, &warm.route, &warm.answer), (plain.outcome, &plain.route, &plain.answer));
        assert_eq!((plain.router.temperature, warm.router.temperature), (None, Some(2.5)));
        assert!(RouterInfo { temperature: None, ..warm.router.clone() }.decides_as(&warm.router), "runs of older versions tell none");
        let valid: f64 = plain.probabilities.iter().map(|route| route.p).sum();
        let total: f64 = plain.probabilities.iter().map(|route| route.p.powf(0.4)).sum();
        for (before, after) in plain.probabilities.iter().zip(&warm.probabilities) {
            let expected = valid * before.p.powf(0.4) / total;
            assert!(before.route == after.route && (after.p / expected - 1.0).abs() < 1e-9, "{before:?} became {after:?}, not {expected}");
        }
        assert_eq!(warm.invalid_mass, plain.invalid_mass, "what other text has is no matter of the temperature");
        let margin = warm.probabilities[0].p - warm.probabilities[1].p;
        assert!((warm.margin - margin).abs() < 1e-12);
        let lead = |decision: &Decision| decision.probabilities[0].p / decision.probabilities[1].p;
        assert!(lead(&warm) < lead(&plain), "the temperature changed nothing");
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
