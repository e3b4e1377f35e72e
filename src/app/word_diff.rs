//! Two wordings beside each other, word by word.

use similar::{ChangeTag, TextDiff};

use crate::formats::DiffKind;
use crate::policy::{Policy, PolicyChange};

/// A piece of a text that both have or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub kind: DiffKind,
    pub text: String,
}

/// Returns the words that an edit changes; `before` is the policy it is made to.
pub fn changed_words(before: &Policy, edit: &PolicyChange) -> Vec<Piece> {
    let described = |route: &str| before.route(route).map_or("", |route| &route.description);
    match edit {
        PolicyChange::Describe { route, description } => words(described(route), description),
        PolicyChange::Rename { from, to } => words(from, &to.name),
        PolicyChange::Remove { route } => words(described(route), ""),
        PolicyChange::Add { route, .. } => words("", &route.description),
        PolicyChange::Reorder { names } => {
            let order: Vec<&str> = before.routes.iter().map(|route| route.name.as_str()).collect();
            words(&order.join(", "), &names.join(", "))
        }
        PolicyChange::Budget(budget) => {
            let text = |budget: Option<usize>| budget.map_or_else(|| "the dialect's own".to_owned(), |budget| budget.to_string());
            words(&text(before.budget), &text(*budget))
        }
    }
}

/// Below this share of common words a diff is a jumble of both texts, and one after the other reads better.
const LEAST_IN_COMMON: f32 = 0.3;

fn words(before: &str, after: &str) -> Vec<Piece> {
    let diff = TextDiff::from_words(before, after);
    let (mut pieces, mut removed, mut added, mut space) = (Vec::new(), String::new(), String::new(), String::new());
    let mut common = 0;
    let mut put = |kind, text: &mut String| {
        if !text.is_empty() {
            pieces.push(Piece { kind, text: std::mem::take(text) });
        }
    };
    let mut both = String::new();
    for change in diff.iter_all_changes() {
        let (tag, text) = (change.tag(), change.value());
        if tag == ChangeTag::Equal && text.trim().is_empty() {
            // Between two changed words it belongs to the change, so that a phrase is marked as one.
            space.push_str(text);
        } else if tag == ChangeTag::Equal {
            common += 1;
            put(DiffKind::Removed, &mut removed);
            put(DiffKind::Added, &mut added);
            both.push_str(&std::mem::take(&mut space));
            both.push_str(text);
        } else {
            if removed.is_empty() && added.is_empty() {
                both.push_str(&std::mem::take(&mut space));
                put(DiffKind::Both, &mut both);
            }
            let space = std::mem::take(&mut space);
            removed.push_str(&space);
            added.push_str(&space);
            if tag == ChangeTag::Delete { removed.push_str(text) } else { added.push_str(text) }
        }
    }
    put(DiffKind::Removed, &mut removed);
    put(DiffKind::Added, &mut added);
    both.push_str(&space);
    put(DiffKind::Both, &mut both);
    let longer = before.split_whitespace().count().max(after.split_whitespace().count());
    if (common as f32) < LEAST_IN_COMMON * longer as f32 {
        let whole = [(DiffKind::Removed, before), (DiffKind::Added, after)].into_iter().filter(|(_, text)| !text.is_empty());
        return whole.map(|(kind, text)| Piece { kind, text: text.to_owned() }).collect();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Route;

    fn described(before: &str, after: &str) -> Vec<(DiffKind, String)> {
        let policy = Policy { routes: vec![Route::new("a", before)], ..Policy::default() };
        let edit = PolicyChange::Describe { route: "a".to_owned(), description: after.to_owned() };
        changed_words(&policy, &edit).into_iter().map(|piece| (piece.kind, piece.text)).collect()
    }

    fn pieces<const N: usize>(pieces: [(DiffKind, &str); N]) -> Vec<(DiffKind, String)> {
        pieces.into_iter().map(|(kind, text)| (kind, text.to_owned())).collect()
    }

    #[test]
    fn only_the_changed_words_are_marked() {
        let expected = [(DiffKind::Both, "fix "), (DiffKind::Removed, "broken"), (DiffKind::Added, "any"), (DiffKind::Both, " code")];
        assert_eq!(described("fix broken code", "fix any code"), pieces(expected));
        assert_eq!(described("fix code", "fix code in Rust"), pieces([(DiffKind::Both, "fix code"), (DiffKind::Added, " in Rust")]));
    }

    #[test]
    fn a_changed_phrase_is_one_change() {
        let expected = [
            (DiffKind::Both, "requests to fix "),
            (DiffKind::Removed, "broken code"),
            (DiffKind::Added, "any program"),
            (DiffKind::Both, " of the user"),
        ];
        assert_eq!(described("requests to fix broken code of the user", "requests to fix any program of the user"), pieces(expected));
    }

    #[test]
    fn texts_with_little_in_common_stand_one_after_the_other() {
        let (before, after) = ("Questions about the weather of a place", "Bookings, and changes of a flight");
        assert_eq!(described(before, after), pieces([(DiffKind::Removed, before), (DiffKind::Added, after)]));
    }
}
