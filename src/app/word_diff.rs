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
    }
}

fn words(before: &str, after: &str) -> Vec<Piece> {
    let diff = TextDiff::from_words(before, after);
    let mut pieces: Vec<Piece> = Vec::new();
    for change in diff.iter_all_changes() {
        let kind = match change.tag() {
            ChangeTag::Equal => DiffKind::Both,
            ChangeTag::Delete => DiffKind::Removed,
            ChangeTag::Insert => DiffKind::Added,
        };
        match pieces.last_mut() {
            Some(last) if last.kind == kind => last.text.push_str(change.value()),
            _ => pieces.push(Piece { kind, text: change.value().to_owned() }),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Route;

    #[test]
    fn only_the_changed_words_are_marked() {
        let before = Policy { routes: vec![Route::new("a", "fix broken code")], ..Policy::default() };
        let edit = PolicyChange::Describe { route: "a".to_owned(), description: "fix any code".to_owned() };
        let piece = |kind, text: &str| Piece { kind, text: text.to_owned() };
        assert_eq!(
            changed_words(&before, &edit),
            [
                piece(DiffKind::Both, "fix "),
                piece(DiffKind::Removed, "broken"),
                piece(DiffKind::Added, "any"),
                piece(DiffKind::Both, " code")
            ]
        );
    }
}
