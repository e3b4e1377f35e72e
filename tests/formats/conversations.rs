//! Conversations: JSON in three shapes, and transcripts.

use proptest::prelude::*;
use waypost::chat::labelled::Expected;
use waypost::chat::{Content, Conversation, Message, Part, Role};
use waypost::formats::{case_json, conversation_digest, find_conversations, parse_conversation, write_conversation};

use super::round_trip::any_extra;
use super::{refuses, refuses_each, sentences};

#[track_caller]
fn reads(text: &str) -> Vec<(Role, String)> {
    let (conversation, warnings) = parse_conversation(text, "c.json").unwrap_or_else(|error| panic!("{error}\nin:\n{text}"));
    assert_eq!(sentences(&warnings), [""; 0], "in:\n{text}");
    conversation.messages.iter().map(|message| (message.role, message.text().into_owned())).collect()
}

#[test]
fn every_shape_of_conversation_is_read() {
    let expected =
        [(Role::System, "Be kind.".to_owned()), (Role::User, "Hi\nthere".to_owned()), (Role::Assistant, "Hello: you".to_owned())];
    let shapes = [
        r#"{"model": "gpt-4o", "temperature": 0.5, "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi\nthere"}, {"role": "assistant", "content": "Hello: you"}]}"#,
        "\u{feff} [{\"role\": \"system\", \"content\": \"Be kind.\"},\r\n {\"content\": [{\"type\": \"text\", \"text\": \"Hi\"}, {\"type\": \"image_url\", \"image_url\": {\"url\": \"x\"}}, {\"type\": \"text\", \"text\": \"there\"}], \"role\": \"user\"}, {\"role\": \"assistant\", \"content\": \"Hello: you\"}]",
        "System: Be kind.\nUser: Hi\nthere\nAssistant: Hello: you\n",
        "SYSTEM:Be kind.\r\n\r\nHuman: Hi\r\nthere\r\n\r\nAI: Hello: you\r\n",
        "\n### System\nBe kind.\n\n### User:\nHi\nthere\n\n### Assistant\nHello: you",
        "**System:** Be kind.\n**Human**: Hi\nthere\n\n**Bot:** Hello: you\n",
        "system: Be kind.\nuser: Hi\nthere\nassistant: Hello: you\nassistant:\n",
    ];
    for shape in shapes {
        assert_eq!(reads(shape), expected, "in:\n{shape}");
    }
}

#[test]
fn the_digest_of_a_conversation_is_that_of_what_a_router_sees_up_to_the_last_user_message() {
    let digest = |text: &str| conversation_digest(&parse_conversation(text, "c.json").unwrap().0);
    let said = digest("User: Hi\nAssistant: Hello\nUser: thanks");
    let parts = r#"[{"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "x"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "thanks"}]"#;
    for same in ["User: Hi\nAssistant: Hello\nUser: thanks\nAssistant: You are welcome", parts] {
        assert_eq!(digest(same), said, "{same}");
    }
    for other in
        ["User: Hi\nAssistant: Hello\nUser: Thanks", "User: Hi\nUser: Hello\nUser: thanks", "User: Hi\nAssistant: Hellothanks\nUser: ."]
    {
        assert_ne!(digest(other), said, "{other}");
    }
}

#[test]
fn text_copied_from_chatgpt_is_a_transcript() {
    let expected = [
        (Role::User, "You said: that it works".to_owned()),
        (Role::Assistant, "It does.\n\nUser: x".to_owned()),
        (Role::User, "Thanks".to_owned()),
    ];
    let copied = "You said:\nYou said: that it works\nChatGPT said:\nIt does.\n\nUser: x\nYou said:\r\nThanks\n\nChatGPT said:\n";
    for text in [copied.to_owned(), copied.replace("You said:\n", "##### You said:\n").replace("ChatGPT said:", "###### ChatGPT said:")] {
        assert_eq!(reads(&text), expected, "in:\n{text}");
    }
    // Somebody's own words.
    assert_eq!(reads("You said: use a list"), [(Role::User, "You said: use a list".to_owned())]);
}

#[test]
fn text_without_roles_is_one_user_message() {
    for text in
        ["Fix this bug", "  What is\n\n a role?\n", "Note: user: is a key", "### User guide\nRead it.", "Username: bob", "User\nsays hi"]
    {
        assert_eq!(reads(text), [(Role::User, text.trim().to_owned())], "in:\n{text}");
    }
}

#[test]
fn bodies_keep_what_only_resembles_a_role() {
    let text =
        "User: Is this right?\n\n  user: postgres\nuser: root\n### System\n**User:** x\nUser guide\nAssistant: Yes.\n\n    indented\n";
    let body = "Is this right?\n\n  user: postgres\nuser: root\n### System\n**User:** x\nUser guide";
    assert_eq!(reads(text), [(Role::User, body.to_owned()), (Role::Assistant, "Yes.\n\n    indented".to_owned())]);

    let late = "Summarise this chat.\nUser: Hi\nAssistant: Hello";
    let (conversation, warnings) = parse_conversation(late, "pasted text").unwrap();
    assert_eq!(conversation, Conversation::from_prompt(late));
    assert_eq!(
        sentences(&warnings),
        [
            "pasted text:2:1: \"User: Hi\" does not start a message, because the text before it has no role; start the text with \"User:\" if it is a transcript"
        ]
    );
}

#[test]
fn roles_that_start_no_message_are_warned_about() {
    let other =
        "because the first line marks its role in another way; mark every role like the first, without indentation, if it is a message";
    let cases = [
        ("User: a\nassistant: b\nuser: c", format!("p:2:1: \"assistant: b\" does not start a message, {other}")),
        ("User: a\n  Assistant: b", format!("p:2:1: \"  Assistant: b\" does not start a message, {other}")),
        (
            "\n  User: a\n  Assistant: b",
            "p:2:1: \"  User: a\" does not start a message, because it is indented; start the text with \"User:\" if it is a transcript"
                .to_owned(),
        ),
    ];
    for (text, expected) in cases {
        let (conversation, warnings) = parse_conversation(text, "p").unwrap();
        assert_eq!((conversation.messages.len(), sentences(&warnings)), (1, vec![expected]), "{text}");
    }
    for (marked, line) in [("User: ", "assistant: b"), ("User: ", "**Assistant:** b"), ("User: ", "### Assistant"), ("user: ", "Bot: b")] {
        let text = format!("{marked}a\n{line}\n{marked}c");
        let (conversation, warnings) = parse_conversation(&text, "p").unwrap();
        let expected = format!("p:2:1: \"{line}\" does not start a message, {other}");
        assert_eq!((conversation.messages.len(), sentences(&warnings)), (2, vec![expected]), "{text}");
    }
    for quoted in ["User: a\nuser: b\nUser: c", "User: a\nAssistant: b\n### User\nUser: c"] {
        assert_eq!(sentences(&parse_conversation(quoted, "p").unwrap().1), [""; 0], "{quoted}");
    }
}

#[test]
fn a_log_with_times_in_brackets_is_one_message() {
    let log = "[12:03] Anna Smith: hi there\n[12:04] Ben: hello";
    for text in [log.to_owned(), log.replace("[12", "[27/11/2026, 12")] {
        let (conversation, warnings) = parse_conversation(&format!("\n{text}"), "p").unwrap();
        assert_eq!(conversation, Conversation::from_prompt(&text));
        assert_eq!(
            sentences(&warnings),
            [
                "p:2:1: times in brackets start no messages, so all of the text is the user's; write \"User:\" and \"Assistant:\" in place of times and names if it is a conversation"
            ]
        );
        assert_eq!(find_conversations(&text, "p").unwrap().kind, "One prompt");
    }
    for json in ["[1, \"a:b\"] c", "[12:03]", "[2, {\"a\": [1]}] c"] {
        assert!(parse_conversation(json, "p").is_err(), "{json}");
    }
}

#[test]
fn content_and_other_keys_are_kept() {
    let text = r#"[{"role":"user","name":"bob","content":[{"type":"text","text":"a"},{"type":"input_audio","data":{"n":1.50}}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"1","n":12345678901234567890123}]},
        {"role":"tool","tool_call_id":"1","content":"\ud83d\ude00"},{"role":"developer"}]"#;
    let (conversation, warnings) = parse_conversation(text, "c.json").unwrap();
    assert_eq!(sentences(&warnings), [""; 0]);
    let [user, assistant, tool, developer] = &conversation.messages[..] else { panic!("four messages") };
    assert_eq!(
        user.content,
        Content::Parts(vec![Part::Text("a".into()), Part::Other(r#"{"type":"input_audio","data":{"n":1.50}}"#.into())])
    );
    assert_eq!(user.extra, [("name".to_owned(), "\"bob\"".to_owned())]);
    assert_eq!(assistant.content, Content::Null);
    assert_eq!(assistant.extra, [("tool_calls".to_owned(), r#"[{"id":"1","n":12345678901234567890123}]"#.to_owned())]);
    assert_eq!(tool.text(), "😀");
    assert_eq!(developer, &Message { role: Role::Developer, content: Content::Null, extra: Vec::new() });
    assert_eq!(
        write_conversation(&conversation),
        r#"[
  {
    "role": "user",
    "content": [{"type": "text", "text": "a"}, {"type":"input_audio","data":{"n":1.50}}],
    "name": "bob"
  },
  {
    "role": "assistant",
    "content": null,
    "tool_calls": [{"id":"1","n":12345678901234567890123}]
  },
  {
    "role": "tool",
    "content": "😀",
    "tool_call_id": "1"
  },
  {
    "role": "developer",
    "content": null
  }
]
"#
    );

    let cached = r#"[{"role":"user","content":[{"type":"text","text":"a","cache_control":{}}]}]"#;
    assert_eq!(
        sentences(&parse_conversation(cached, "c.json").unwrap().1),
        [
            "c.json:1:54: key \"cache_control\" of a text part of message 1 is not kept; it never reaches a router; keep the original file if you need it"
        ]
    );
}

#[test]
fn texts_of_responses_are_read_and_parts_that_nobody_knows_are_warned_about() {
    let parts = r#"[{"role":"user","content":[{"type":"input_text","text":"Write"},{"type":"input_text","text":"a test"}]},
        {"role":"assistant","content":[{"type":"output_text","text":"def"},{"type":"refusal","refusal":"no"}]}]"#;
    let read = parse_conversation(parts, "c.json").unwrap().0;
    let texts: Vec<_> = read.messages.iter().map(|message| (message.role, message.text().into_owned())).collect();
    assert_eq!(texts, [(Role::User, "Write\na test".to_owned()), (Role::Assistant, "def".to_owned())]);
    let said = |annotated: &str| sentences(&parse_conversation(&parts.replace("def\"", annotated), "c.json").unwrap().1);
    let saved = [
        "c.json:1:36: parts of the type \"input_text\" are saved as \"text\"; a router sees the same; keep the original file if you need its type",
        "c.json:2:48: parts of the type \"output_text\" are saved as \"text\"; a router sees the same; keep the original file if you need its type",
    ];
    assert_eq!(said("def\""), saved, "each type once");
    assert_eq!(said("def\",\"annotations\":[],\"logprobs\":[]"), saved, "every answer has these");
    let other = r#"[{"role":"user","content":[{"type":"txt","text":"a"},{"type":"tool_result","content":"b"}]}]"#;
    let (conversation, warnings) = parse_conversation(other, "c.json").unwrap();
    assert_eq!(conversation.messages[0].text(), "");
    assert_eq!(
        sentences(&warnings),
        [
            "c.json:1:36: a part of message 1 has the type \"txt\", which no router sees; give it the type \"text\" if it is what somebody says"
        ]
    );
}

#[test]
fn a_list_stays_a_list_and_an_object_an_object() {
    let object = "{\n  \"messages\": [\n    {\n      \"role\": \"user\",\n      \"content\": \"hi\"\n    }\n  ]\n}\n";
    let list = "[\n  {\n    \"role\": \"user\",\n    \"content\": \"hi\"\n  }\n]\n";
    for text in [object, list] {
        let conversation = parse_conversation(text, "c.json").unwrap().0;
        assert_eq!(write_conversation(&conversation), text);
        let case = r#"{"id": "1", "messages": [{"role":"user","content":"hi"}], "route": "x"}"#;
        assert_eq!(case_json("1", &conversation, &Expected::Last("x".into())), case);
        let keys = vec![("model".to_owned(), "1".to_owned())];
        assert!(
            write_conversation(&Conversation { extra: keys, ..conversation }).starts_with("{\n  \"model\": 1,\n  \"messages\": [\n    {")
        );
    }
}

#[test]
fn each_mistake_has_its_sentence() {
    let user = r#"{"role": "user", "content": "x"}"#;
    let cases: &[(&str, &str)] = &[
        ("", "c.json: the conversation is empty; write a message, or a list of messages"),
        (" \n\t\r\n", "c.json: the conversation is empty; write a message, or a list of messages"),
        ("{}", "c.json:1:1: the object has no \"messages\"; write {\"messages\": [...]} or a bare list of messages"),
        (user, "c.json:1:1: there is a single message where a list should be; put it in `[` and `]`"),
        ("[]", "c.json:1:1: the conversation has no user message; add one: the router decides about the user's words"),
        ("System: x\nAssistant: y", "c.json:1:1: the conversation has no user message; add one: the router decides about the user's words"),
        (
            "\n{\"messages\":\n  {}}",
            "c.json:3:3: \"messages\" must be a list, found an object; write [{\"role\": \"user\", \"content\": \"...\"}]",
        ),
        ("[\"hi\"]", "c.json:1:2: message 1 must be an object, found the text \"hi\"; write {\"role\": \"user\", \"content\": \"...\"}"),
        (
            "[{\"role\": \"user\"},\n {\"content\": \"ä\", \"role\": \"customer\"}]",
            "c.json:2:27: unknown role \"customer\" of message 2; use system, developer, user, assistant or tool",
        ),
        ("[{\"role\": \"User\"}]", "c.json:1:11: unknown role \"User\" of message 1; use system, developer, user, assistant or tool"),
        ("[{\"role\": \"function\"}]", "c.json:1:11: message 1 has the role \"function\", which gateways refuse; use \"tool\" instead"),
        ("[{\"role\": null}]", "c.json:1:11: the role of message 1 must be text, found nothing; write the text after it"),
        ("[{\"content\": \"x\"}]", "c.json:1:2: message 1 has no \"role\"; add a role: system, developer, user, assistant or tool"),
        (
            "[{\"role\": \"user\", \"content\": 12}]",
            "c.json:1:30: the content of message 1 must be text, null or a list of parts, found the number 12; put it in double quotes",
        ),
        (
            "[{\"role\": \"user\", \"content\": [\"a\"]}]",
            "c.json:1:31: each part of message 1 must be an object, found the text \"a\"; write {\"type\": \"text\", \"text\": \"...\"}",
        ),
        (
            "[{\"role\": \"user\", \"content\": [{\"text\": \"a\"}]}]",
            "c.json:1:31: a part of message 1 has no \"type\"; add \"type\": \"text\"",
        ),
        (
            "[{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]",
            "c.json:1:31: a text part of message 1 has no \"text\"; add \"text\": \"...\"",
        ),
        (
            "[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": []}]}]",
            "c.json:1:56: the text of a part of message 1 must be text, found a list; write one text in double quotes",
        ),
        ("[{\"role\": \"user\", \"role\": \"tool\"}]", "c.json:1:19: key \"role\" appears twice, first on line 1; keep one of them"),
    ];
    refuses_each(cases, |text| parse_conversation(text, "c.json"));
}

#[test]
fn broken_json_is_explained_and_never_taken_for_a_transcript() {
    let cases: &[(&str, &str)] = &[
        ("[{\"role\": \"user\"}", "c.json:1:17: the text ends inside a list; add the missing `]`"),
        ("{\"messages\": []", "c.json:1:15: the text ends inside an object; add the missing `}`"),
        ("[{\"role\": \"user}]", "c.json:1:17: the text ends inside a string; add the missing double quote"),
        ("{\"messages\":", "c.json:1:12: the text ends where a value should follow; complete it"),
        (
            "[{\"é\": \"user\" \"content\": 1}]",
            "c.json:1:15: found `\"` in an object after a value; add `,` before it, or close the object with `}`",
        ),
        ("[1 2]", "c.json:1:4: found \"2\" in a list after a value; add `,` before it, or close the list with `]`"),
        ("[{\"role\" \"user\"}]", "c.json:1:10: found `\"` where the colon after a key should be; add `:`"),
        ("[{role: \"user\"}]", "c.json:1:3: found \"role\" where a key should start; put keys in double quotes"),
        ("[{'role': 'user'}]", "c.json:1:3: found `'` where a key should start; put keys in double quotes"),
        ("[\n  {\"role\": user}]", "c.json:2:12: found \"user\" where a value should start; put text in double quotes"),
        ("[{\"role\": \"user\"},\n]", "c.json:2:1: a value is missing before `]`; remove the comma before it, or add the value"),
        ("[{\"role\": \"user\",}]", "c.json:1:18: a value is missing before `}`; remove the comma before it, or add the value"),
        (
            "{\"messages\": []}\n{\"messages\": []}",
            "c.json:2:1: found `{` after the end of the JSON value; keep one value; a file with a case a line is a labelled set (*.jsonl)",
        ),
        (
            "[\"a\nb\"]",
            "c.json:1:4: a string contains a line break, tab or other control character; write it as an escape such as \\n or \\t",
        ),
        (
            "[\"é\tb\"]",
            "c.json:1:4: a string contains a line break, tab or other control character; write it as an escape such as \\n or \\t",
        ),
        ("[\"a\\c\"]", "c.json:1:5: a string holds an unknown backslash escape; write a backslash as \\\\"),
        (
            "[\"a\\ud800\"]",
            "c.json:1:2: a string holds half of a \\u escape pair; write the character itself, or both halves of its \\u escape",
        ),
        ("[01]", "c.json:1:3: a number is not written as JSON wants it; write it like 10, -2 or 0.5, or put it in double quotes"),
        ("[true, flase]", "c.json:1:8: found \"flase\" where a value should start; put text in double quotes"),
        ("{\"role\": travel}", "c.json:1:10: found \"travel\" where a value should start; put text in double quotes"),
        (
            "[INST] Hi",
            "c.json:1:2: found \"INST\" where a value should start; write \"User:\" before the text if it is no JSON; otherwise put text in double quotes",
        ),
        (
            "{name} please fix",
            "c.json:1:2: found \"name\" where a key should start; write \"User:\" before the text if it is no JSON; otherwise put keys in double quotes",
        ),
    ];
    refuses_each(cases, |text| parse_conversation(text, "c.json"));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    refuses(
        "deep",
        parse_conversation(&deep, "c.json"),
        "c.json:1:65: lists and objects are nested more than 64 deep; write a flatter file",
    );
    refuses("deep", parse_conversation(&deep[..100_000], "c.json"), "c.json:1:100000: the text ends inside a list; add the missing `]`");
    let many = format!("[{}1]", "1,".repeat(1_000_000));
    refuses(
        "many",
        parse_conversation(&many, "c.json"),
        "c.json:1:2000000: the file holds more than 1000000 values; split it into smaller files",
    );
}

fn any_message() -> impl Strategy<Value = Message> {
    let part = prop_oneof![
        any::<String>().prop_map(Part::Text),
        any_extra().prop_map(|extra| {
            let keys: String = extra.iter().map(|(key, value)| format!(",\"{key}\":{value}")).collect();
            Part::Other(format!("{{\"type\":\"image_url\"{keys}}}"))
        }),
    ];
    let content = prop_oneof![
        Just(Content::Null),
        any::<String>().prop_map(Content::Text),
        proptest::collection::vec(part, 0..3).prop_map(Content::Parts),
    ];
    (proptest::sample::select(&Role::ALL[..]), content, any_extra()).prop_map(|(role, content, extra)| Message { role, content, extra })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(mut messages in proptest::collection::vec(any_message(), 0..4), last in any::<String>(), extra in any_extra(), list in any::<bool>()) {
        messages.push(Message::new(Role::User, last));
        let is_list = list && extra.is_empty();
        let conversation = Conversation { messages, extra, is_list };
        let written = write_conversation(&conversation);
        serde_json::from_str::<serde_json::Value>(&written).unwrap();
        let (read, warnings) = parse_conversation(&written, "c.json").map_err(|error| TestCaseError::fail(format!("{error}\n{written}")))?;
        prop_assert_eq!(&read, &conversation, "{}", written);
        prop_assert!(warnings.is_empty());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[{]?[\\[\\]{}:,\"\\\\ \\n\\tuserol01.eé*#]{0,40}") {
        let _ = parse_conversation(&text, "c.json");
    }
}
