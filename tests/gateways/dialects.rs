//! What each gateway version would do with an answer, and whether results carry over to it.

use waypost::dialect::{GATEWAYS, dialect_warning, gateway_of_version, outlook};
use waypost::policy::DialectId;

#[test]
fn versions_find_their_prompt() {
    let dialect = |version: &str| gateway_of_version(version).map(|gateway| gateway.dialect);
    for (version, expected) in [
        ("0.3.0", None),
        ("0.3.1", Some(DialectId::Archgw031)),
        ("v0.3.22", Some(DialectId::Archgw031)),
        ("0.4.18", Some(DialectId::Archgw031)),
        ("0.4.19", Some(DialectId::Plano0419)),
        ("0.4.36", Some(DialectId::Plano0420)),
        ("0.5", Some(DialectId::Plano0420)),
        ("latest", None),
        ("0.x.1", None),
    ] {
        assert_eq!(dialect(version), expected, "{version}");
    }
}

#[test]
fn arch_routers_answer_fails_in_new_gateways() {
    let answers: Vec<String> = GATEWAYS.iter().map(|gateway| outlook(gateway, &["wine"], r#"{"route": "wine"}"#)).collect();
    assert_eq!(answers[0], "archgw 0.3.1 to Plano 0.4.18 takes the route \"wine\"");
    assert!(answers[2].starts_with("Plano 0.4.20 and later fails the request with HTTP 500: invalid type"), "{}", answers[2]);
    let none = outlook(&GATEWAYS[0], &["wine"], r#"{"route": "other"}"#);
    assert_eq!(none, "archgw 0.3.1 to Plano 0.4.18 finds no route and uses the model that the request names");
}

#[test]
fn a_test_with_another_dialect_is_warned_about() {
    let new = gateway_of_version("0.4.36").unwrap();
    assert_eq!(dialect_warning(DialectId::Plano0420, new), None);
    let expected = "Plano 0.4.20 and later sends the dialect plano-0.4.20, whatever router it asks, Arch-Router included, of which \
                    results with archgw-0.3.1 say nothing; test with --dialect plano-0.4.20";
    assert_eq!(dialect_warning(DialectId::Archgw031, new).as_deref(), Some(expected));
}
