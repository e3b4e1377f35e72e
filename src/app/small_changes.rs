//! Small changes to what a user wrote, of the kind that should not move a decision.

use std::cmp::Reverse;

/// Marks that people leave out when they are in a hurry. Others, as in C++ or 20 %, belong to what is said.
const MARKS: &str = ".,;:!?…\"'`“”„‘’«»()[]{}¿¡–—。、，；：？！「」『』（）";

/// Words that get a typo, the longest ones.
const TYPOS: usize = 2;

/// Returns the text with each small change, which is named for people; changes that leave it as it is are left out.
pub fn small_changes(text: &str) -> Vec<(&'static str, String)> {
    let changes = [
        ("All lower case", text.to_lowercase()),
        ("Without punctuation", without_punctuation(text)),
        ("Typos in the longest words", with_typos(text)),
        ("With Please and Thanks", format!("Please {} Thanks!", text.trim())),
        ("With doubled spaces", text.replace(' ', "  ")),
    ];
    changes.into_iter().filter(|(_, changed)| changed != text).collect()
}

/// Takes marks off both ends of each word. Inside a word they belong to it, as in 3.5 or torch.utils.
fn without_punctuation(text: &str) -> String {
    let bare = |piece: &str| {
        let word = piece.trim_end();
        let kept = word.trim_matches(|character| MARKS.contains(character));
        // A word that is all marks goes with the space after it, which would stand doubled.
        if kept.is_empty() && !word.is_empty() { String::new() } else { format!("{kept}{}", &piece[word.len()..]) }
    };
    text.split_inclusive(char::is_whitespace).map(bare).collect()
}

/// Swaps two neighbouring letters in each of the longest words, always the same ones, so that a test can be repeated.
fn with_typos(text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let mut swaps = Vec::new();
    let mut start = 0;
    for run in characters.chunk_by(|one, next| one.is_alphabetic() == next.is_alphabetic()) {
        if let Some(place) = swap(run) {
            swaps.push((run.len(), start + place));
        }
        start += run.len();
    }
    // A stable sort: of words of one length the first ones are taken.
    swaps.sort_by_key(|(length, _)| Reverse(*length));
    for (_, place) in swaps.into_iter().take(TYPOS) {
        characters.swap(place, place + 1);
    }
    characters.into_iter().collect()
}

/// Returns the first of two letters to swap: in the middle of the word, or before it, but never the word's first letter, which people
/// rarely get wrong. `None` where nothing would change, or where this is no word.
fn swap(run: &[char]) -> Option<usize> {
    let is_word = run.iter().all(|character| character.is_alphabetic());
    let (middle, last) = (run.len() / 2, run.len() - 1);
    (middle..last).chain(1..middle).find(|place| is_word && run[*place] != run[place + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_named_and_what_changes_nothing_is_left_out() {
        let named = |text| small_changes(text).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(
            named("Where is it?"),
            ["All lower case", "Without punctuation", "Typos in the longest words", "With Please and Thanks", "With doubled spaces"]
        );
        assert_eq!(named("refund"), ["Typos in the longest words", "With Please and Thanks"]);
        assert_eq!(named("42"), ["With Please and Thanks"]);
        let texts: Vec<String> = small_changes("Where is it?\n").into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["where is it?\n", "Where is it\n", "Whree is it?\n", "Please Where is it? Thanks!", "Where  is  it?\n"]);
    }

    #[test]
    fn punctuation_inside_words_and_line_feeds_stay() {
        assert_eq!(without_punctuation("Hi, \"torch.utils\" – in C++\nfails: 3.5 % (why?)"), "Hi torch.utils in C++\nfails 3.5 % why");
        assert_eq!(without_punctuation("¿Qué tal?  «bien»"), "Qué tal  bien");
        assert_eq!(without_punctuation("plain words"), "plain words");
    }

    #[test]
    fn the_two_longest_words_get_a_typo_each() {
        assert_eq!(with_typos("please refund my invoice"), "plesae refund my invioce");
        assert_eq!(with_typos("refund parcel return"), "refnud parecl return", "the first ones of one length");
        assert_eq!(with_typos("Überweisung für 20 %"), "Überwiesung frü 20 %");
        assert_eq!(with_typos("aaaa a 1 12"), "aaaa a 1 12", "there is nothing to swap");
        assert_eq!(with_typos(""), "");
    }
}
