//! What people wrote around the values of a policy stays when the form changes a value.

use proptest::prelude::*;
use waypost::formats::{parse_policy, policy_text};
use waypost::policy::{DialectId, Policy, PolicyEdit, Route};

/// Asserts what a text becomes by one edit.
#[track_caller]
fn becomes(text: &str, edit: PolicyEdit, expected: &str) {
    becomes_by(text, vec![edit], expected);
}

/// Asserts what a text becomes by edits between two of its versions.
#[track_caller]
fn becomes_by(text: &str, edits: Vec<PolicyEdit>, expected: &str) {
    let old = parse_policy(text, "p.yaml").unwrap().0;
    let mut new = old.clone();
    edits.into_iter().for_each(|edit| edit.apply(&mut new));
    assert_eq!(policy_text(text, &old, &new), expected);
}

fn describe(description: &str) -> PolicyEdit {
    PolicyEdit::Describe { route: 0, description: description.to_owned() }
}

fn models(models: &[&str]) -> PolicyEdit {
    PolicyEdit::SetModels { route: 0, models: models.iter().map(|&model| model.to_owned()).collect() }
}

#[test]
fn values_below_the_routes_are_changed_in_place() {
    let text = "# head\nroutes: # list\n  # a\n  - name: a\n    description: b # short\n# below\nfallback: x # cheap\n# end\n";
    becomes(text, PolicyEdit::SetFallback(Some("y".to_owned())), &text.replace("fallback: x", "fallback: \"y\""));
    becomes(text, PolicyEdit::SetFallback(None), &text.replace("fallback: x", "fallback: null"));
    becomes(text, PolicyEdit::SetBudget(Some(4096)), &text.replace("routes: #", "budget: 4096\nroutes: #"));
    let set = text.replace("fallback: x", "budget: 300");
    becomes(&set, PolicyEdit::SetBudget(Some(4096)), &set.replace("300", "4096"));
    becomes(text, PolicyEdit::SetName(Some("n".to_owned())), &text.replace("routes: #", "name: \"n\"\nroutes: #"));
}

#[test]
fn comments_behind_quoted_values_stay() {
    let text = "name: 'it''s' # \"mine\"\nroutes: # list\n  - name: \"a\"\n    description: \"say \\\"b\\\" # c\" # agreed \"so\"\n    \
                models:\n      - \"m\" # 200k\nfallback: &f \"x\" # cheap\n";
    becomes(text, PolicyEdit::SetName(Some("n".to_owned())), &text.replace("'it''s'", "\"n\""));
    becomes(text, describe("new"), &text.replace("\"say \\\"b\\\" # c\"", "\"new\""));
    becomes(text, models(&["o"]), &text.replace("\"m\"", "\"o\""));
    becomes(text, PolicyEdit::SetFallback(Some("y".to_owned())), &text.replace("&f \"x\"", "\"y\""));
    becomes(text, PolicyEdit::SetFallback(None), &text.replace("&f \"x\"", "null"));
    let inline = "routes:\n- {name: \"a\", description: b} # one\n# two\n- {name: c, description: d} # three\n# end\n";
    becomes(inline, PolicyEdit::Rename { route: 0, name: "z".to_owned() }, &inline.replace("\"a\"", "\"z\""));
    becomes(inline, PolicyEdit::RemoveRoute { route: 0 }, &inline.replace("- {name: \"a\", description: b} # one\n", ""));
    becomes(inline, PolicyEdit::AddRoute, &inline.replace("# end\n", "- name: \"new_route\"\n  description: \"\"\n# end\n"));
}

#[test]
fn texts_in_block_style_are_changed_alone() {
    let text = "routes:\n  - name: a\n    # hands off\n    description: >- # folded\n      one\n      two\n    # the models\n    models:\n      \
                - m # 200k context\n      - n # fallback\n";
    becomes(text, describe("new"), &text.replace(">- # folded\n      one\n      two", "\"new\" # folded"));
}

#[test]
fn models_and_new_keys_leave_the_rest_of_the_route_alone() {
    let text = "routes:\n- name: a # mine\n  models: # in order\n  - m # 200k context\n  # spare\n  - n # fallback\n  description: b # short\n# end\n";
    becomes(text, models(&["m", "o"]), &text.replace("- n #", "- \"o\" #"));
    becomes(
        text,
        models(&["n", "m", "o"]),
        &text.replace(
            "  - m # 200k context\n  # spare\n  - n # fallback\n",
            "  # spare\n  - n # fallback\n  - m # 200k context\n  - \"o\"\n",
        ),
    );
    let domain = PolicyEdit::SetDomain { route: 0, domain: Some("d".to_owned()) };
    becomes(text, domain, &text.replace("# short\n", "# short\n  domain: \"d\"\n"));
    let inline = "routes:\n  - name: a\n    description: b\n    models: [m, n] # both\n";
    becomes(inline, models(&["n"]), &inline.replace("[m, n]", "[\"n\"]"));
    let none = "routes:\n  - name: a # mine\n    description: b\n";
    becomes(none, models(&["n"]), &format!("{none}    models:\n      - \"n\"\n"));
}

#[test]
fn the_first_route_the_last_one_and_a_bare_list_keep_what_is_around_them() {
    let empty = "# head\nroutes: [] # none yet\n# below\nfallback: x # cheap\n";
    let first = "# head\nroutes: # none yet\n  - name: \"new_route\"\n    description: \"\"\n# below\nfallback: x # cheap\n";
    becomes(empty, PolicyEdit::AddRoute, first);
    becomes(first, PolicyEdit::RemoveRoute { route: 0 }, empty);
    let bare = "# head\n\n# a\n- name: a\n  description: b # short\n# end\n";
    becomes(bare, PolicyEdit::AddRoute, &bare.replace("# end\n", "- name: \"new_route\"\n  description: \"\"\n# end\n"));
    becomes(bare, PolicyEdit::SetFallback(Some("x".to_owned())), &bare.replace("# a\n", "fallback: \"x\"\nroutes:\n# a\n"));
    becomes(bare, PolicyEdit::RemoveRoute { route: 0 }, "# head\n\n[]\n# end\n");
}

#[test]
fn a_renamed_route_keeps_its_comments_beside_one_that_comes_or_goes() {
    let [a, b, c] = [
        "  # first\n  - name: a\n    description: A # short\n",
        "  # second\n  - name: b # mine\n    description: B\n",
        "  # third\n  - name: c\n    description: C\n",
    ];
    let list = |routes: &[&str]| format!("routes:\n{}", routes.concat());
    let (text, added) = (list(&[a, b, c]), "  - name: \"new_route\"\n    description: \"\"\n");
    let rename = |route| PolicyEdit::Rename { route, name: "z".to_owned() };
    let anew = |route| PolicyEdit::Describe { route, description: "Z".to_owned() };
    let z = b.replace("name: b", "name: \"z\"");
    becomes_by(&text, vec![rename(1), PolicyEdit::RemoveRoute { route: 0 }], &list(&[&z, c]));
    becomes_by(&text, vec![rename(1), PolicyEdit::AddRoute], &list(&[a, &z, c, added]));
    // Of name and description neither stays, but the routes around it do.
    let z = z.replace("description: B", "description: \"Z\"");
    becomes_by(&text, vec![rename(1), anew(1), PolicyEdit::AddRoute], &list(&[a, &z, c, added]));
    becomes_by(&text, vec![rename(1), anew(1), PolicyEdit::RemoveRoute { route: 2 }], &list(&[a, &z]));
    // What a removed route had above it is not about a new one elsewhere.
    becomes_by(&text, vec![PolicyEdit::RemoveRoute { route: 0 }, PolicyEdit::AddRoute], &list(&[b, c, added]));
}

#[test]
fn the_heading_of_a_group_outlives_its_first_route() {
    let text = "routes:\n  # --- Coding ---\n\n  # a\n  - name: a\n    description: b\n    # a too\n  - name: c\n    description: d\n";
    becomes(text, PolicyEdit::RemoveRoute { route: 0 }, "routes:\n  # --- Coding ---\n\n  - name: c\n    description: d\n");
}

#[test]
fn json_stays_json_while_its_routes_stay_and_windows_line_ends_stay() {
    let json = "[{\"name\": \"a\", \"description\": \"b\"}]\n";
    becomes(json, describe("new"), &json.replace("\"b\"", "\"new\""));
    let windows = "\u{feff}routes: # list\r\n  - name: a # mine\r\n    description: |\r\n      b\r\n# end\r\n";
    becomes(windows, describe("new"), &windows.replace("|\r\n      b", "\"new\""));
    let added = windows.replace("# end", "  - name: \"new_route\"\r\n    description: \"\"\r\n# end");
    becomes(windows, PolicyEdit::AddRoute, &added);
    // With an alias in it, a value cannot be changed alone.
    let alias = "# head\r\nroutes:\r\n- {name: a, description: &d b}\r\n- {name: c, description: *d}\r\n";
    let old = parse_policy(alias, "p.yaml").unwrap().0;
    let new = Policy { routes: vec![Route::new("a", "new"), Route::new("c", "b")], ..Policy::default() };
    let written = policy_text(alias, &old, &new);
    assert!(written.starts_with("# head\r\n") && !written.replace("\r\n", "").contains('\n'), "{written:?}");
    assert_eq!(parse_policy(&written, "p.yaml").unwrap().0, new);
}

/// A policy with a comment at every place where one may stand; those about a route end with its number.
fn commented(routes: usize) -> String {
    let route = |n| {
        format!(
            "  # above {n}\n  - name: r{n} # name {n}\n    description: >- # description {n}\n      folded\n      text {n}\n    # models {n}\n    \
             models:\n      # preferred {n}\n      - m{n} # first {n}\n      - n{n} # second {n}\n"
        )
    };
    let routes: String = (0..routes).map(route).collect();
    format!("# head\nname: x # name\nroutes: # list\n{routes}# below\nfallback: f # fallback\n# end\n")
}

fn any_edit() -> impl Strategy<Value = PolicyEdit> {
    let route = 0..3_usize;
    let text = || Just("new: \"text\" # no comment".to_owned());
    let list =
        |route: usize| [vec!["new".to_owned(), format!("n{route}")], vec![format!("n{route}"), format!("m{route}"), "new".to_owned()]];
    prop_oneof![
        (route.clone(), text()).prop_map(|(route, name)| PolicyEdit::Rename { route, name }),
        (route.clone(), text()).prop_map(|(route, description)| PolicyEdit::Describe { route, description }),
        (route.clone(), text()).prop_map(|(route, domain)| PolicyEdit::SetDomain { route, domain: Some(domain) }),
        (route.clone(), 0..2_usize).prop_map(move |(route, which)| PolicyEdit::SetModels { route, models: list(route)[which].clone() }),
        (route.clone(), route.clone()).prop_map(|(route, to)| PolicyEdit::MoveRoute { route, to }),
        route.clone().prop_map(|route| PolicyEdit::DuplicateRoute { route }),
        route.prop_map(|route| PolicyEdit::RemoveRoute { route }),
        Just(PolicyEdit::AddRoute),
        proptest::option::of(text()).prop_map(PolicyEdit::SetName),
        proptest::option::of(text()).prop_map(PolicyEdit::SetFallback),
        Just(PolicyEdit::SetDialect(Some(DialectId::Plano0420))),
        Just(PolicyEdit::SetBudget(Some(4096))),
    ]
}

/// Every comment must be there after the edits, but for those about a route that one of them removes.
fn comments_survive(edits: Vec<PolicyEdit>) -> Result<(), TestCaseError> {
    let text = commented(3);
    let old = parse_policy(&text, "p.yaml").unwrap().0;
    let removed = edits.iter().find_map(|edit| if let PolicyEdit::RemoveRoute { route } = edit { Some(format!(" {route}")) } else { None });
    let mut new = old.clone();
    edits.into_iter().for_each(|edit| edit.apply(&mut new));
    let written = policy_text(&text, &old, &new);
    prop_assert_eq!(&parse_policy(&written, "p.yaml").unwrap().0, &new, "{}", written);
    for comment in text.lines().filter_map(|line| line.find('#').map(|at| &line[at..])) {
        let is_removed = removed.as_ref().is_some_and(|removed| comment.ends_with(removed.as_str()));
        prop_assert_eq!(written.lines().any(|line| line.ends_with(comment)), !is_removed, "{}\n{}", comment, written);
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_comment_survives_an_edit_that_does_not_remove_its_route(edit in any_edit()) {
        comments_survive(vec![edit])?;
    }

    #[test]
    fn a_new_name_and_any_other_edit_cost_no_comment(route in 0..3_usize, edit in any_edit()) {
        comments_survive(vec![PolicyEdit::Rename { route, name: "renamed".to_owned() }, edit])?;
    }
}
