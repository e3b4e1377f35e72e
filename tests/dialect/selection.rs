//! Which messages reach the router: points 1 to 6 of the gateways' behaviour.

use serde_json::json;
use waypost::chat::Role::{Assistant, Developer, System, Tool, User};
use waypost::dialect::{
    Budget, DialectId, DropReason, Fit, Trim, WINDOW, default_budget, estimated_tokens, says_nothing, template_tokens, trim_middle,
};

use super::{GATEWAYS, conversation, indices, render_talk, talk, texts};

#[test]
fn numbers_of_each_dialect() {
    assert_eq!(DialectId::ALL.map(default_budget), [None, Some(2048), Some(8192), Some(8192)]);
    assert_eq!(GATEWAYS.map(template_tokens), [214, 211, 211]);
    assert_eq!(["", "abc", "abcd", "aéé", "1234567"].map(estimated_tokens), [0, 0, 1, 1, 1]);
}

#[test]
fn only_user_and_assistant_reach_a_gateways_router() {
    let talk = talk(&[(System, "s"), (Developer, "d"), (User, "u"), (Assistant, "a"), (Tool, "t")]);
    for dialect in GATEWAYS {
        let rendered = render_talk(dialect, &talk, None);
        let role = |index| (index, DropReason::Role);
        let developer = if dialect == DialectId::Archgw031 { (1, DropReason::Developer) } else { role(1) };
        assert_eq!(indices(&rendered.selection), (vec![2, 3], vec![role(0), developer, role(4)]), "{dialect}");
    }
}

#[test]
fn parts_are_joined_and_only_empty_texts_are_dropped() {
    let conversation = conversation(&json!([
        {"role": "user", "content": ""},
        {"role": "assistant", "content": null, "tool_calls": []},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "user", "content": []},
        {"role": "assistant", "content": " \n"},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": ""}]},
    ]));
    for dialect in GATEWAYS {
        let rendered = render_talk(dialect, &conversation, None);
        let empty = (0..4).map(|index| (index, DropReason::EmptyText)).collect();
        assert_eq!(indices(&rendered.selection), (vec![4, 5, 6], empty), "{dialect}");
        // Two empty parts are joined by a line feed, so their text is not empty.
        assert_eq!(texts(&rendered.selection), [" \n", "a\nb", "\n"], "{dialect}");
    }
}

#[test]
fn the_newest_plano_keeps_sixteen_messages() {
    let numbered: Vec<String> = (0..40).map(|number| format!("message {number}")).collect();
    let mut messages: Vec<_> = numbered.iter().map(|text| (Assistant, text.as_str())).collect();
    // Dropped by role or emptiness, so not counted.
    messages[39].0 = Tool;
    messages[38].1 = "";
    let talk = talk(&messages);
    let rendered = render_talk(DialectId::Plano0420, &talk, None);
    let (kept, dropped) = indices(&rendered.selection);
    assert_eq!((WINDOW, kept), (16, (22..38).collect()));
    assert_eq!(dropped[..22], (0..22).map(|index| (index, DropReason::BeyondWindow)).collect::<Vec<_>>());
    assert_eq!(dropped[22..], [(38, DropReason::EmptyText), (39, DropReason::Role)]);
    for older in [DialectId::Archgw031, DialectId::Plano0419] {
        assert_eq!(render_talk(older, &talk, None).selection.kept.len(), 38, "{older}");
    }
}

#[test]
fn a_budget_may_be_used_up_exactly() {
    // 24 and 16 bytes: 6 and 4 estimated tokens.
    let talk = talk(&[(User, "older, twenty-four bytes"), (Assistant, "exactly sixteen.")]);
    let cost = 6 + 4;
    for dialect in GATEWAYS {
        let limit = template_tokens(dialect) + cost;
        let exact = render_talk(dialect, &talk, Some(limit)).selection;
        assert_eq!(exact.budget, Some(Budget { limit, used: limit }), "{dialect}");
        assert!(exact.kept.iter().all(|kept| kept.fit == Fit::Whole), "{dialect}");
        assert_eq!(exact.kept.len(), 2, "{dialect}");
        let short = render_talk(dialect, &talk, Some(limit - 1)).selection;
        assert_ne!(short.kept[0].fit, Fit::Whole, "{dialect}: one token less must show");
    }
}

#[test]
fn each_message_costs_its_bytes_over_four_rounded_down() {
    // Three bytes cost nothing, so any number of such messages fits a budget of the template alone.
    let talk = talk(&[(User, "abc"); 12]);
    for dialect in GATEWAYS {
        let limit = template_tokens(dialect);
        let selection = render_talk(dialect, &talk, Some(limit)).selection;
        assert_eq!((selection.kept.len(), selection.budget), (12, Some(Budget { limit, used: limit })), "{dialect}");
    }
}

#[test]
fn routes_cost_nothing() {
    let talk = talk(&[(User, "hello there")]);
    let long = waypost::policy::Route::new("long", "words ".repeat(10_000));
    for dialect in GATEWAYS {
        let selection = waypost::dialect::render(dialect, &[&long], &talk, Some(template_tokens(dialect) + 2)).selection;
        assert_eq!(selection.kept[0].fit, Fit::Whole, "{dialect}");
    }
}

#[test]
fn older_gateways_push_the_users_overflow_whole() {
    let long = "x".repeat(4000);
    let talk = talk(&[(User, "oldest"), (User, &long), (Assistant, "sure"), (User, "go on")]);
    for dialect in [DialectId::Archgw031, DialectId::Plano0419] {
        let selection = render_talk(dialect, &talk, Some(300)).selection;
        assert_eq!(indices(&selection), (vec![1, 2, 3], vec![(0, DropReason::OverBudget)]), "{dialect}");
        assert_eq!((selection.kept[0].text.len(), selection.kept[0].fit), (4000, Fit::WholeOverBudget), "{dialect}");
        assert_eq!(selection.budget.unwrap(), Budget { limit: 300, used: template_tokens(dialect) + 1000 + 1 + 1 }, "{dialect}");
    }
}

#[test]
fn an_assistants_overflow_ends_the_selection() {
    let long = "x".repeat(4000);
    let talk = talk(&[(User, "oldest"), (Assistant, &long), (User, "go on")]);
    for dialect in GATEWAYS {
        let selection = render_talk(dialect, &talk, Some(300)).selection;
        // The oldest message would fit, but nothing behind the overflow is looked at.
        let over = |index| (index, DropReason::OverBudget);
        assert_eq!(indices(&selection), (vec![2], vec![over(0), over(1)]), "{dialect}");
    }
}

#[test]
fn the_newest_plano_trims_the_users_overflow_in_the_middle() {
    let long = format!("{}{}", "a".repeat(500), "z".repeat(500));
    let talk = talk(&[(User, "oldest"), (User, &long), (Assistant, "four")]);
    let selection = render_talk(DialectId::Plano0420, &talk, Some(211 + 1 + 10)).selection;
    assert_eq!(indices(&selection), (vec![1, 2], vec![(0, DropReason::OverBudget)]));
    // Ten tokens are left: 40 bytes, 3 of them the mark, 22 the head, 15 the tail.
    let trim = Trim { original_bytes: 1000, head_bytes: 22, tail_bytes: 15 };
    assert_eq!(selection.kept[0].text, format!("{}…{}", "a".repeat(22), "z".repeat(15)));
    assert_eq!((selection.kept[0].fit, trim.cut_bytes()), (Fit::Trimmed(trim), 963));
    assert_eq!(selection.budget, Some(Budget { limit: 222, used: 222 }));
}

#[test]
fn without_room_nothing_is_trimmed() {
    let talk = talk(&[(User, "this does not fit at all"), (Assistant, "four")]);
    let selection = render_talk(DialectId::Plano0420, &talk, Some(212)).selection;
    assert_eq!(indices(&selection), (vec![1], vec![(0, DropReason::OverBudget)]));
}

#[test]
fn the_last_message_is_sent_whole_when_nothing_else_is() {
    let long = "x".repeat(40_000);
    for (dialect, role, budget) in [
        (DialectId::Archgw031, Assistant, None),
        (DialectId::Plano0419, Assistant, None),
        (DialectId::Plano0420, Assistant, None),
        (DialectId::Plano0420, User, Some(211)),
        (DialectId::Plano0420, User, Some(0)),
    ] {
        let selection = render_talk(dialect, &talk(&[(User, "first"), (role, &long)]), budget).selection;
        assert_eq!(indices(&selection), (vec![1], vec![(0, DropReason::OverBudget)]), "{dialect} {role}");
        assert_eq!((selection.kept[0].text.as_str(), selection.kept[0].fit), (long.as_str(), Fit::WholeOverBudget), "{dialect} {role}");
    }
}

#[test]
fn middle_trim_moves_to_character_boundaries() {
    // 17 bytes without the mark: the head shrinks from 10 to 9, so the tail may have 8, and shrinks to 7.
    let text = "123456789ééééééééééééééééx";
    assert_eq!(text.len(), 42);
    let (trimmed, trim) = trim_middle(text, 20);
    assert_eq!(trim, Some(Trim { original_bytes: 42, head_bytes: 9, tail_bytes: 7 }));
    assert_eq!(trimmed, "123456789…éééx");
}

#[test]
fn middle_trim_of_tiny_budgets_keeps_the_head_alone() {
    let sent = |max_bytes| trim_middle("aé京b", max_bytes).0;
    assert_eq!([0, 1, 2, 3].map(sent), ["", "a", "a", "aé"]);
    assert_eq!(trim_middle("aé京b", 3).1, Some(Trim { original_bytes: 7, head_bytes: 3, tail_bytes: 0 }));
    // Four bytes: the mark and one byte, which three fifths round down to the tail.
    assert_eq!([4, 5].map(sent), ["…b", "a…b"]);
    assert_eq!(trim_middle("aé京b", 7), ("aé京b".to_owned(), None));
}

#[test]
fn the_model_card_cuts_nothing() {
    let conversation = conversation(&json!([
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": null},
        {"role": "user", "content": "x".repeat(100_000)},
    ]));
    let rendered = render_talk(DialectId::ModelCard, &conversation, Some(1));
    assert_eq!(rendered.selection.budget, None);
    assert_eq!(indices(&rendered.selection), ((0..4).collect(), vec![]));
    let start =
        r#"[{"role": "system", "content": "be kind"}, {"role": "user", "content": ""}, {"role": "assistant", "content": null}, {"role": "#;
    assert!(rendered.text[rendered.conversation].starts_with(start));
}

#[test]
fn without_messages_the_router_is_still_called() {
    for dialect in DialectId::ALL {
        let rendered = render_talk(dialect, &talk(&[]), None);
        assert_eq!(&rendered.text[rendered.conversation], "[]", "{dialect}");
    }
    for dialect in GATEWAYS {
        let rendered = render_talk(dialect, &talk(&[(System, "only this")]), None);
        assert_eq!(&rendered.text[rendered.conversation], "[]", "{dialect}");
    }
    assert!(says_nothing(&talk(&[(System, "only this"), (User, ""), (Tool, "42")]).messages));
    assert!(!says_nothing(&talk(&[(User, " ")]).messages));
}

#[test]
fn the_oldest_dialect_tells_what_its_versions_do_with_a_developers_message() {
    let dropped = render_talk(DialectId::Archgw031, &talk(&[(Developer, "d"), (User, "u")]), None).selection.dropped;
    let told = dropped[0].reason.to_string();
    assert!(told.contains("0.3.11 to Plano 0.4.16 refuse the request") && told.contains("up to 0.3.10 the message is sent"), "{told}");
}
