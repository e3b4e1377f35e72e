//! What holds for every conversation, policy and answer.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;
use waypost::chat::{Content, Conversation, Message, Part, Role};
use waypost::dialect::{DialectId, Fit, WINDOW, answer_text, estimated_tokens, parse_answer, render, template_tokens, trim_middle};
use waypost::policy::Route;

fn dialects() -> impl Strategy<Value = DialectId> {
    proptest::sample::select(DialectId::ALL.to_vec())
}

/// Texts of mixed character widths, now and then long enough to burst a budget.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ab é京🚄\"\\\\\n]{0,12}", 1 => "\\PC{0,20}", 1 => "(é京🚄x){0,60}"]
}

fn messages() -> impl Strategy<Value = Message> {
    let part = prop_oneof![texts().prop_map(Part::Text), Just(Part::Other("{}".to_owned()))];
    let content = prop_oneof![
        1 => Just(Content::Null),
        5 => texts().prop_map(Content::Text),
        1 => proptest::collection::vec(part, 0..3).prop_map(Content::Parts),
    ];
    // Mostly the roles that are sent, so that windows and budgets matter.
    let role = prop_oneof![4 => Just(Role::User), 4 => Just(Role::Assistant), 1 => proptest::sample::select(Role::ALL.to_vec())];
    (role, content).prop_map(|(role, content)| Message { role, content, extra: Vec::new() })
}

fn conversations() -> impl Strategy<Value = Conversation> {
    proptest::collection::vec(messages(), 0..30).prop_map(Conversation::from)
}

fn budgets() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![1 => Just(None), 4 => (200_usize..320).prop_map(Some), 1 => (0_usize..9000).prop_map(Some)]
}

proptest! {
    #[test]
    fn kept_and_dropped_part_the_conversation(dialect in dialects(), conversation in conversations(), budget in budgets()) {
        let selection = render(dialect, &[], &conversation, budget).selection;
        let kept: Vec<usize> = selection.kept.iter().map(|kept| kept.index).collect();
        let dropped: Vec<usize> = selection.dropped.iter().map(|dropped| dropped.index).collect();
        prop_assert!(kept.is_sorted_by(|a, b| a < b) && dropped.is_sorted_by(|a, b| a < b));
        let mut all: Vec<usize> = kept.iter().chain(&dropped).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..conversation.messages.len()).collect::<Vec<_>>());
        prop_assert!(dialect != DialectId::Plano0420 || kept.len() <= WINDOW);
    }

    #[test]
    fn texts_are_whole_or_trimmed_and_the_account_is_right(dialect in dialects(), conversation in conversations(), budget in budgets()) {
        let selection = render(dialect, &[], &conversation, budget).selection;
        for kept in &selection.kept {
            let original = conversation.messages[kept.index].text();
            prop_assert_eq!(kept.role, conversation.messages[kept.index].role);
            if let Fit::Trimmed(trim) = kept.fit {
                let head = &original[..trim.head_bytes];
                let tail = &original[trim.original_bytes - trim.tail_bytes..];
                prop_assert_eq!(&kept.text, &format!("{head}…{tail}"));
                prop_assert_eq!(trim.original_bytes, original.len());
            } else {
                prop_assert_eq!(&kept.text, original.as_ref());
            }
        }
        if let Some(account) = selection.budget {
            let costs: usize = selection.kept.iter().map(|kept| estimated_tokens(&kept.text)).sum();
            prop_assert_eq!(account.used, template_tokens(dialect) + costs);
            let pushed = selection.kept.iter().any(|kept| kept.fit == Fit::WholeOverBudget);
            let bare = selection.kept.is_empty();
            prop_assert_eq!(account.used > account.limit, pushed || (bare && template_tokens(dialect) > account.limit));
        }
    }

    #[test]
    fn a_trimmed_text_never_exceeds_its_bytes(text in "\\PC{0,80}", max_bytes in 0_usize..200) {
        let (sent, trim) = trim_middle(&text, max_bytes);
        prop_assert!(sent.len() <= max_bytes);
        match trim {
            None => prop_assert_eq!(sent, text),
            Some(trim) => {
                prop_assert!(text.len() > max_bytes);
                prop_assert!(sent.starts_with(&text[..trim.head_bytes]));
                prop_assert!(sent.ends_with(&text[text.len() - trim.tail_bytes..]));
                // A cut gives up less than a character on either side, so little of the budget is lost.
                prop_assert!(max_bytes <= 3 || sent.len() + 3 >= max_bytes);
            }
        }
    }

    #[test]
    fn what_is_substituted_is_json_of_what_was_given(
        dialect in dialects(), conversation in conversations(), names in proptest::collection::vec(texts(), 0..5), budget in budgets(),
    ) {
        let routes: Vec<Route> = names.iter().map(|name| Route::new(name, name.to_uppercase())).collect();
        let rendered = render(dialect, &routes.iter().collect::<Vec<_>>(), &conversation, budget);

        let sent: Vec<Value> = serde_json::from_str(&rendered.text[rendered.conversation.clone()]).unwrap();
        prop_assert_eq!(sent.len(), rendered.selection.kept.len());
        for (sent, kept) in sent.iter().zip(&rendered.selection.kept) {
            prop_assert_eq!(sent.as_object().unwrap().keys().collect::<Vec<_>>(), ["role", "content"]);
            prop_assert_eq!(&sent["role"], kept.role.as_str());
            prop_assert_eq!(sent["content"].as_str().unwrap_or_default(), &kept.text);
        }

        let block = &rendered.text[rendered.routes.clone()];
        let list = if block.starts_with('[') { block.to_owned() } else { format!("[{}]", block.replace('\n', ",")) };
        let sent: Vec<Value> = serde_json::from_str(&list).unwrap();
        let pairs: Vec<_> = sent.iter().map(|sent| (sent["name"].as_str().unwrap(), sent["description"].as_str().unwrap())).collect();
        prop_assert_eq!(pairs, routes.iter().map(|route| (route.name.as_str(), route.description.as_str())).collect::<Vec<_>>());
    }

    #[test]
    fn canonical_answers_are_read_back(dialect in dialects(), names in proptest::collection::btree_set("[^']{1,12}", 1..6)) {
        // Line feeds and backslash-n are deleted by the gateway's repairs.
        let names: BTreeSet<String> = names.iter().map(|name| name.replace(['\n', '\\'], "_")).collect();
        for name in &names {
            prop_assert_eq!(parse_answer(dialect, &names, &answer_text(dialect, Some(name))), Ok(Some(name.clone())));
            prop_assert_eq!(parse_answer(dialect, ["elsewhere, a longer name"], &answer_text(dialect, Some(name))), Ok(None));
        }
        prop_assert_eq!(parse_answer(dialect, &names, &answer_text(dialect, None)), Ok(None));
    }

    #[test]
    fn only_known_names_are_read(dialect in dialects(), names in proptest::collection::vec(texts(), 0..4), text in "[\\[\\]{}\":, \\\\nrouteab'`]{0,24}") {
        if let Ok(Some(route)) = parse_answer(dialect, &names, &text) {
            prop_assert!(names.contains(&route));
        }
    }
}
