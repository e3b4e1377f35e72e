//! Labelled sets.

use waypost::chat::Conversation;
use waypost::chat::labelled::{Expected, LabelledCase};
use waypost::formats::{FindingKind, FormatError, LabelledReader, LabelledSet, unlabelled_json};
use waypost::policy::{Policy, Route};

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
            "s.jsonl:2:1: the case has no label; add \"route\" with the expected route, or \"other\" when none fits",
        ),
        (
            format!("{{{m}, \"route\": \"\"}}"),
            "s.jsonl:2:59: a label must be the name of a route, found empty text; write \"other\" when none fits",
        ),
        (
            format!("{{{m}, \"route\": \"r\", \"labels\": [\"r\"]}}"),
            "s.jsonl:2:64: the case has both \"route\" and \"labels\"; keep one of them",
        ),
        (
            format!("{{\"labels\": [\"r\"], {m}, \"route\": \"r\"}}"),
            "s.jsonl:2:2: the case has both \"route\" and \"labels\"; keep one of them",
        ),
        (format!("{{{m}, \"labels\": \"r\"}}"), "s.jsonl:2:60: \"labels\" must be a list, found the text \"r\"; put it in `[` and `]`"),
        (
            format!("{{{m}, \"labels\": [\"r\", \"r\"]}}"),
            "s.jsonl:2:60: the case has 2 labels for 1 user message; write one label per user message",
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

#[test]
fn tables_and_exports_with_labels_are_read() {
    let read = |path: &str, text: &str| -> Vec<Result<LabelledCase, FormatError>> { LabelledReader::new(text.as_bytes(), path).collect() };
    let said = |case: &LabelledCase| {
        case.conversation.messages.iter().map(|message| format!("{} {}", message.role, message.text())).collect::<Vec<_>>()
    };
    let table = read("s.csv", "\u{feff}Text;label;id\r\n\"a;\r\nb \"\"c\"\"\";r;x\r\n\r\nd;other\r\ne;;y\nf;r;\n");
    let first = table[0].as_ref().unwrap();
    assert_eq!(
        (first.id.as_str(), &first.expected, said(first)),
        ("x", &Expected::Last("r".into()), vec!["user a;\r\nb \"c\"".to_owned()])
    );
    let errors: Vec<String> = table[1..3].iter().map(|case| case.as_ref().unwrap_err().to_string()).collect();
    assert!(errors[0].starts_with("s.csv:5: the record has 2 fields where the header has 3"), "{errors:?}");
    assert!(errors[1].starts_with("s.csv:6: the record has no label"), "{errors:?}");
    assert_eq!(table[3].as_ref().unwrap().id, "7");
    // Standard input has no extension; the header tells.
    assert_eq!(read("<stdin>", "label\ttext\nr\thello, you\n")[0].as_ref().unwrap().conversation.messages[0].text(), "hello, you");
    let headless = read("s.csv", "hello,r\nyou,r\n");
    assert_eq!(headless.len(), 1);
    assert!(headless[0].as_ref().unwrap_err().to_string().contains("has no column for the text; name the columns in the first line"));

    let export = "[\n  {\"id\": \"s\", \"conversations\": [{\"from\": \"human\", \"value\": \"a]}\\\"\"}, {\"from\": \"gpt\", \"value\": \"b\"}], \"label\": \"r\"},\n  \
        {\"prompt\": \"p\", \"category\": \"r\"}, 7, {\"text\": \"t\",\n \"route\": 1}\n]";
    let list = read("s.json", export);
    assert_eq!(said(list[0].as_ref().unwrap()), ["user a]}\"", "assistant b"]);
    assert_eq!(said(list[1].as_ref().unwrap()), ["user p"]);
    // Its place in the list names a case without an id: all of them may stand on one line.
    assert_eq!(list[1].as_ref().unwrap().id, "2");
    let one_line = read("s.json", "[{\"prompt\": \"p\", \"label\": \"r\"}, 7, {\"prompt\": \"q\", \"label\": \"r\"}]");
    assert_eq!(one_line.iter().map(|case| case.as_ref().map_or("", |case| case.id.as_str())).collect::<Vec<_>>(), ["1", "", "3"]);
    assert!(
        list[2].as_ref().unwrap_err().to_string().starts_with("s.json:3:37: a case must be an object, found the number 7"),
        "{:?}",
        list[2]
    );
    assert!(list[3].as_ref().unwrap_err().to_string().starts_with("s.json:4:11: a label must be the name of a route"), "{:?}", list[3]);
    assert_eq!(list.len(), 4);
}

#[test]
fn what_is_odd_about_a_set_is_told_with_its_lines() {
    let long: Vec<String> = (0..60).map(|word| format!("word{word}")).collect();
    let case =
        |text: &str, label: &str| format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"{text}\"}}], \"route\": \"{label}\"}}\n");
    let text = [
        case("pay now", "pay"),
        case("pay now", "chat"),
        case("Pay, now!", "pay"),
        case("pay now", "pay"),
        case("PAY NOW", "pay"),
        case("a flight to Rome", "Pay"),
        case("a flight to Oslo", "pya"),
        case(&long.join(" "), "pay"),
        case(&long.join(" ").replace("word59", "other"), "pay"),
        case(&long.iter().rev().cloned().collect::<Vec<_>>().join(" "), "pya"),
    ]
    .concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    std::fs::write(&path, text).unwrap();
    let set = LabelledSet::open_as(&path, "s.jsonl", &mut |_, _| true).unwrap().unwrap();
    let policy = Policy { routes: ["pay", "chat", "empty"].map(|name| Route::new(name, "")).to_vec(), ..Policy::default() };
    let findings = set.findings(&policy);
    let found: Vec<(FindingKind, &[usize])> = findings.iter().map(|finding| (finding.kind, finding.lines.as_slice())).collect();
    let expected: [(FindingKind, &[usize]); 6] = [
        (FindingKind::UnknownLabel, &[7, 10]),
        (FindingKind::LabelCase, &[6]),
        (FindingKind::Contradiction, &[1, 2, 4]),
        (FindingKind::RouteWithoutCases, &[]),
        (FindingKind::NearDuplicate, &[1, 3, 5]),
        (FindingKind::NearDuplicate, &[8, 9]),
    ];
    assert_eq!(found, expected);
    assert!(findings[0].to_string().starts_with("s.jsonl:7, 10: the label \"pya\" is no route of the policy"), "{}", findings[0]);
    assert!(findings[2].message.contains("appears 3 times with different labels"), "{}", findings[2]);
    assert_eq!(set.read(5).unwrap().conversation.messages[0].text(), "a flight to Rome");
    std::fs::write(&path, "").unwrap();
    assert!(set.read(5).unwrap_err().to_string().contains("changed since it was opened"));
}

#[test]
fn one_label_and_one_for_each_message_agree_where_the_last_are_the_same() {
    let said = r#""messages": [{"role": "user", "content": "pay now"}, {"role": "user", "content": "thanks"}]"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    let policy = Policy { routes: ["pay", "chat"].map(|name| Route::new(name, "")).to_vec(), ..Policy::default() };
    let kind = |labels: &[&str]| {
        std::fs::write(&path, labels.iter().map(|labels| format!("{{{said}, {labels}}}\n")).collect::<String>()).unwrap();
        LabelledSet::open(&path, &mut |_, _| true).unwrap().unwrap().findings(&policy)[0].kind
    };
    let (last, each) = (r#""route": "chat""#, r#""labels": ["pay", "chat"]"#);
    assert_eq!(kind(&[last, each]), FindingKind::Duplicate);
    assert_eq!(kind(&[last, r#""labels": ["chat", "pay"]"#]), FindingKind::Contradiction);
    // Both agree with the first, but not with each other.
    assert_eq!(kind(&[last, each, r#""labels": ["chat", "chat"]"#]), FindingKind::Contradiction);
}

#[test]
fn a_case_of_which_nothing_reaches_the_router_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    let case = |parts: &str| format!("{{\"messages\": [{{\"role\": \"user\", \"content\": [{parts}]}}], \"route\": \"a\"}}\n");
    let image = r#"{"type": "image_url", "image_url": {"url": "x"}}"#;
    let text =
        [case(image), case(r#"{"type": "input_text", "text": "sort it"}"#), case(r#"{"type": "input_text", "text": "hello"}"#)].concat();
    std::fs::write(&path, text).unwrap();
    let set = LabelledSet::open(&path, &mut |_, _| true).unwrap().unwrap();
    let findings = set.findings(&Policy { routes: vec![Route::new("a", "")], ..Policy::default() });
    let found: Vec<(FindingKind, &[usize])> = findings.iter().map(|finding| (finding.kind, finding.lines.as_slice())).collect();
    assert_eq!(found, [(FindingKind::NothingSent, &[1][..])], "the other two differ, and are no duplicates");
}

#[test]
fn cases_without_a_label_wait_for_it_and_get_it_in_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    let talk = |text: &str| Conversation::from_prompt(text.to_owned());
    let labelled = "{\"route\": \"r\", \"id\": \"b\", \"messages\": [{\"role\": \"user\", \"content\": \"two }\"}]}\n";
    let spread = format!("{}  }}\n", unlabelled_json("c", &talk("three \"}\"")).trim_end_matches('}'));
    std::fs::write(&path, format!("{}\n{labelled}{spread}no json\n", unlabelled_json("a", &talk("one")))).unwrap();
    let open = || LabelledSet::open(&path, &mut |_, _| true).unwrap().unwrap();
    let set = open();
    assert_eq!((set.unlabelled(), set.labelled(), set.bad().len(), set.turns(None), set.turns(Some(1))), (&[0, 2][..], 1, 1, 1, 1));
    assert_eq!((&*set.cases()[2].id, &*set.cases()[2].preview), ("c", "three \"}\""));
    assert_eq!((set.conversation(0).unwrap(), set.conversation(1).unwrap()), (talk("one"), talk("two }")));
    assert!(set.read(0).unwrap_err().to_string().contains("the case has no label"));

    let before = std::fs::read(&path).unwrap();
    let mut text = before.clone();
    for case in [2, 0] {
        let edit = set.relabel(case, 0, "other").unwrap();
        text.splice(edit.offset as usize..edit.offset as usize + edit.len, edit.bytes);
    }
    std::fs::write(&path, text).unwrap();
    let set = open();
    assert_eq!((set.unlabelled().len(), set.labelled(), set.turns(None)), (0, 3, 3));
    let mut again = std::fs::read(&path).unwrap();
    for case in [2, 0] {
        let edit = set.unlabel(case).unwrap().unwrap();
        again.splice(edit.offset as usize..edit.offset as usize + edit.len, edit.bytes);
    }
    assert!(again == before, "as it was before it had its first labels: {}", String::from_utf8_lossy(&again));
    // The key stays where it was.
    let edit = set.unlabel(1).unwrap().unwrap();
    assert_eq!((edit.len, edit.bytes.as_slice()), (3, &b"null"[..]));
    for (case, text) in [(0, "one"), (2, "three \"}\"")] {
        let case = set.read(case).unwrap();
        assert_eq!((case.conversation, case.expected), (talk(text), Expected::Last("other".to_owned())));
    }
    assert!(std::fs::read_to_string(&path).unwrap().contains(labelled), "every other byte stays");
}

#[test]
fn null_is_as_good_as_left_out() {
    let good = read(br#"{"id": null, "text": "x", "messages": null, "route": "r", "labels": null, "routes": null, "tags": null}"#);
    let case = good[0].as_ref().unwrap();
    assert_eq!((case.id.as_str(), &case.expected, &case.routes, case.tags.len()), ("1", &Expected::Last("r".into()), &None, 0));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    std::fs::write(&path, "{\"route\": null, \"text\": \"x\"}\n{\"route\": null, \"text\": \"y\", \"label\": \"r\"}\n").unwrap();
    let set = LabelledSet::open(&path, &mut |_, _| true).unwrap().unwrap();
    assert_eq!((set.unlabelled(), set.bad().len()), (&[0][..], 0));
    let mut text = std::fs::read(&path).unwrap();
    // The label takes the place of null: a second "route" could not be read.
    for case in [1, 0] {
        let edit = set.relabel(case, 0, "other").unwrap();
        text.splice(edit.offset as usize..edit.offset as usize + edit.len, edit.bytes);
    }
    let expected = "{\"route\": \"other\", \"text\": \"x\"}\n{\"route\": null, \"text\": \"y\", \"label\": \"other\"}\n";
    assert_eq!(String::from_utf8(text).unwrap(), expected);

    // As jq writes it, too; and it goes back to null.
    for before in ["{\"route\": null, \"text\": \"x\"}\n", "{\"text\":\"x\",\"route\":null}\n"] {
        let mut text = before.as_bytes().to_vec();
        for labels in [true, false] {
            std::fs::write(&path, &text).unwrap();
            let set = LabelledSet::open(&path, &mut |_, _| true).unwrap().unwrap();
            let edit = if labels { set.relabel(0, 0, "other").unwrap() } else { set.unlabel(0).unwrap().unwrap() };
            text.splice(edit.offset as usize..edit.offset as usize + edit.len, edit.bytes);
            assert_eq!(String::from_utf8_lossy(&text).contains("null"), !labels);
        }
        assert_eq!(String::from_utf8(text).unwrap(), before);
    }
    let each = "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"labels\": [\"r\"]}\n";
    std::fs::write(&path, each).unwrap();
    let set = LabelledSet::open(&path, &mut |_, _| true).unwrap().unwrap();
    assert!(set.unlabel(0).unwrap_err().to_string().contains("has no label that Waypost gave it"));
}

#[test]
fn no_case_is_lost_in_silence() {
    let read = |path: &str, text: &str| -> Vec<String> {
        let cases = LabelledReader::new(text.as_bytes(), path);
        cases.map(|case| case.map_or_else(|error| error.to_string(), |case| case.id)).collect()
    };
    let case = "{\"text\": \"x\", \"label\": \"r\"}";
    let after = "the list of cases has ended, and what follows it is not read; keep all cases in one list, or write one case a line";
    assert_eq!(read("s.json", &format!("[{case}]\n [{case}]")), ["1".to_owned(), format!("s.json:2:2: {after}")]);
    assert_eq!(read("s.json", &format!("[[{case}], {case}]"))[1], format!("s.json:1:31: {after}"));
    let open = "the file ends inside its list, so cases may be missing; add the missing `]`";
    assert_eq!(read("s.json", &format!("[{case},\n")), ["1".to_owned(), format!("s.json:2:1: {open}")]);
    for whole in [format!("[{case}] \n"), format!("[{case}, {case}]")] {
        assert!(read("s.json", &whole).iter().all(|id| id.len() == 1), "{whole}");
    }
    assert_eq!(read("s.json", "[7]").len(), 1, "the bracket that ends a word ends the list");

    let table = read("s.csv", "text,label\na,r\n\"b\nc\",\"r\nd,r\ne,r\n");
    let quote =
        "a quote that opens here is never closed; the rest of the file is one record; close it, and write a quote inside quoted text twice";
    assert_eq!(table, ["2".to_owned(), format!("s.csv:4: {quote}")]);
}

#[test]
fn tables_with_carriage_returns_alone_are_read_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.csv");
    std::fs::write(&path, "text,label\ra,r\r\"b\rc\",r").unwrap();
    let set = LabelledSet::open(&path, &mut |_, _| true).unwrap().unwrap();
    let found: Vec<(usize, &str)> = set.cases().iter().map(|case| (case.place.line, &*case.preview)).collect();
    assert_eq!((found, set.bad().len()), (vec![(2, "a"), (3, "b c")], 0));
    let mut text = std::fs::read(&path).unwrap();
    let expected = Expected::Last("other".to_owned());
    let edits = [set.append("3", &Conversation::from_prompt("d"), &expected).unwrap(), set.relabel(0, 0, "other").unwrap()];
    for edit in edits {
        text.splice(edit.offset as usize..edit.offset as usize + edit.len, edit.bytes);
    }
    assert_eq!(String::from_utf8(text).unwrap(), "text,label\ra,other\r\"b\rc\",r\rd,other\r");
}
