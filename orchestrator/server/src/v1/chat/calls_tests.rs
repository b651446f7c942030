use super::*;

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn call(name: &str, arguments: &str) -> Piece {
    Piece::Call { name: name.to_owned(), arguments: arguments.to_owned() }
}

/// What a reply consists of, however it is cut into pieces.
fn check(reply: &str, expected: &[Piece]) {
    let names = ["f".to_owned(), "g".to_owned()];
    for size in [1, 2, 3, 7, reply.len().max(1)] {
        let mut scanner = Scanner::new(&names);
        let mut pieces = Vec::new();
        let chars: Vec<char> = reply.chars().collect();
        for piece in chars.chunks(size) {
            pieces.extend(scanner.push(&piece.iter().collect::<String>()));
        }
        pieces.extend(scanner.finish());
        // Text in one piece or in several is the same.
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (joined.last_mut(), piece) {
                (Some(Piece::Text(last)), Piece::Text(more)) => last.push_str(&more),
                (_, piece) => joined.push(piece),
            }
        }
        assert_eq!(joined, expected, "{reply:?} in pieces of {size}");
    }
}

#[test]
fn text_stays_text() {
    check("", &[]);
    check(
        "Hello.\n\nThere is a < b, and <tool> too. ",
        &[text("Hello.\n\nThere is a < b, and <tool> too. ")],
    );
    check("ends like <tool_c", &[text("ends like <tool_c")]);
}

#[test]
fn calls_are_found() {
    let one = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1,2]}}\n</tool_call>";
    check(one, &[call("f", "{\"a\": [1, 2]}")]);
    check(&format!("I will ask.\n{one}"), &[text("I will ask."), call("f", "{\"a\": [1, 2]}")]);
    let two = one.replace("\"f\"", "\"g\"");
    check(&format!("{one}\n{two}\n"), &[call("f", "{\"a\": [1, 2]}"), call("g", "{\"a\": [1, 2]}")]);
    check(&format!("{one}\nDone."), &[call("f", "{\"a\": [1, 2]}"), text("Done.")]);
}

#[test]
fn sloppy_calls_are_understood() {
    check("<tool_call>{\"name\": \"f\"}</tool_call>", &[call("f", "{}")]);
    check("<tool_call>{\"name\": \"f\", \"arguments\": {}}", &[call("f", "{}")]);
    check(r#"<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call>"#, &[call("f", "{\"a\": 1}")]);
    check(
        r#"<tool_call>{"name": "f", "arguments": {"a": "</tool_call>"}}</tool_call>"#,
        &[call("f", r#"{"a": "</tool_call>"}"#)],
    );
}

#[test]
fn what_is_no_call_is_not_lost() {
    for reply in [
        "<tool_call>not JSON</tool_call>",
        "<tool_call>{\"name\": \"unknown\", \"arguments\": {}}</tool_call> and more",
        "<tool_call>{\"name\": \"f\", \"argu",
        "<tool_call>",
    ] {
        check(reply, &[text(reply)]);
    }
}

#[test]
fn without_tools_nothing_is_held_back() {
    let mut scanner = Scanner::new(&[]);
    assert_eq!(scanner.push("a <tool_call>"), [text("a <tool_call>")]);
    assert_eq!(scanner.finish(), []);
}
