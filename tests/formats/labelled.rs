//! Labelled sets.

use waypost::chat::labelled::{Expected, LabelledCase};
use waypost::formats::{FormatError, LabelledReader};
use waypost::policy::Route;

use super::refuses;

fn read(text: &[u8]) -> Vec<Result<LabelledCase, FormatError>> {
    LabelledReader::new(text, "s.jsonl").collect()
}

#[test]
fn every_shape_of_case_is_read() {
    let text = "\u{feff}{\"id\": \"a\", \"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"route\": \"r\", \"source\": 1}\r\n\n\
        {\"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"assistant\", \"content\": \"y\"}, {\"role\": \"user\", \"content\": \"z\"}], \
         \"labels\": [\"r\", \"other\"], \"tags\": [\"t\", \"u\"]}\n   \n\
        {\"id\": 7, \"routes\": [{\"name\": \"r\", \"description\": \"d\"}], \"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"route\": \"r\"}";
    let mut reader = LabelledReader::new(text.as_bytes(), "s.jsonl");
    let first = reader.next().unwrap().unwrap();
    assert_eq!((first.id.as_str(), &first.expected, &first.routes), ("a", &Expected::Last("r".into()), &None));
    assert_eq!(first.conversation.messages[0].text(), "x");
    let second = reader.next().unwrap().unwrap();
    assert_eq!((second.id.as_str(), reader.line()), ("3", 3));
    assert_eq!(second.expected, Expected::PerTurn(vec!["r".into(), "other".into()]));
    assert_eq!(second.tags, ["t", "u"]);
    assert_eq!(second.conversation.user_turns().collect::<Vec<_>>(), [0, 2]);
    let third = reader.next().unwrap().unwrap();
    assert_eq!((third.id.as_str(), third.routes), ("7", Some(vec![Route::new("r", "d")])));
    assert!(reader.next().is_none());
    assert!(reader.next().is_none());
    assert!(read(b"").is_empty());
}

#[test]
fn each_mistake_has_its_sentence() {
    let m = r#""messages": [{"role": "user", "content": "x"}]"#;
    let cases = [
        ("12".to_owned(), "s.jsonl:2:1: a case must be an object, found the number 12; write {\"messages\": [...], \"route\": \"...\"}"),
        ("{\"route\": \"r\"}".to_owned(), "s.jsonl:2:1: the case has no \"messages\"; add the conversation as a list of messages"),
        (format!("{{{m}}}"), "s.jsonl:2:1: the case has no label; add \"route\" with the expected route, or \"other\" when none fits"),
        (
            format!("{{{m}, \"route\": null}}"),
            "s.jsonl:2:59: a label must be the name of a route, found nothing; write \"other\" when none fits",
        ),
        (
            format!("{{{m}, \"route\": \"\"}}"),
            "s.jsonl:2:59: a label must be the name of a route, found empty text; write \"other\" when none fits",
        ),
        (
            format!("{{{m}, \"route\": \"r\", \"labels\": [\"r\"]}}"),
            "s.jsonl:2:64: the case has both \"route\" and \"labels\"; keep one of them",
        ),
        (format!("{{{m}, \"labels\": \"r\"}}"), "s.jsonl:2:60: \"labels\" must be a list, found the text \"r\"; put it in `[` and `]`"),
        (
            format!("{{{m}, \"labels\": [\"r\", \"r\"]}}"),
            "s.jsonl:2:60: the case has 2 labels for 1 user message; write one label a user message",
        ),
        (
            format!("{{{m}, \"labels\": [1]}}"),
            "s.jsonl:2:61: a label must be the name of a route, found the number 1; write \"other\" when none fits",
        ),
        (
            format!("{{{m}, \"route\": \"r\", \"tags\": [1]}}"),
            "s.jsonl:2:73: each of \"tags\" must be text, found the number 1; put it in double quotes",
        ),
        (
            format!("{{{m}, \"route\": \"r\", \"id\": []}}"),
            "s.jsonl:2:70: \"id\" must be text, found a list; write one text in double quotes",
        ),
        (
            format!("{{{m}, \"route\": \"r\", \"routes\": [{{\"name\": \"r\"}}]}}"),
            "s.jsonl:2:75: route \"r\" has no `description`; describe which conversations belong to it",
        ),
        (
            format!("{{{m}, \"route\": \"q\", \"routes\": [{{\"name\": \"r\", \"description\": \"\"}}]}}"),
            "s.jsonl:2:59: the label \"q\" is none of the case's own routes; correct it, or use \"other\" when none fits",
        ),
        (
            "{\"messages\": [{\"role\": \"assistant\"}], \"route\": \"r\"}".to_owned(),
            "s.jsonl:2:14: the conversation has no user message; add one: the router decides about the user's words",
        ),
        ("{\"messages\": [".to_owned(), "s.jsonl:2:14: the text ends inside a list; add the missing `]`"),
    ];
    for (line, expected) in cases {
        // A bad line takes no other with it.
        let good = format!("{{{m}, \"route\": \"r\"}}");
        let mut cases = read(format!("{good}\n{line}\n{good}\n").as_bytes());
        assert_eq!(cases.len(), 3, "{line}");
        assert_eq!(cases.pop().unwrap().unwrap().id, "3");
        refuses(&line, cases.pop().unwrap(), expected);
        assert!(cases.pop().unwrap().is_ok());
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_located() {
    let cases = read(b"\n\n{\"id\": \"\xc3\xa9\xff\"}\n{\"messages\": [{\"role\": \"user\"}], \"route\": \"r\"}\n");
    assert_eq!(cases[0].as_ref().unwrap_err().to_string(), "s.jsonl:3:10: byte 10 of the line (0xFF) is not UTF-8; save the file as UTF-8");
    assert!(cases[1].is_ok());
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let endless = std::io::BufReader::new(std::io::repeat(b' '));
    let errors: Vec<String> =
        LabelledReader::new(endless, "s.jsonl").map(|case| case.map_or_else(|error| error.to_string(), |case| case.id)).collect();
    assert_eq!(errors, ["s.jsonl:1:1: the line is longer than 64 MiB; write one case a line"]);
}
