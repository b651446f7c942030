//! One reply in three forms: blocks of text, native tool calls, JSON in text. Whoever reads it sees the same actions.

use serde_json::{Value, json};

use super::{Action, Understood, blocks, native};
use crate::client::Finish;

/// A reply as blocks, and as calls of tools with their arguments.
struct Case {
    about: &'static str,
    text: &'static str,
    calls: Vec<(&'static str, Value)>,
}

const OF_OTHERS: &str = "tools of other programs";

fn cases() -> Vec<Case> {
    vec![
        Case {
            about: "a new file and the end",
            text: "@@ write a.py\nx = {\"a\": [1]}\n\n@decorator\n@@ end\n@@ done All is there.\n",
            calls: vec![
                ("write", json!({"path": "a.py", "content": "x = {\"a\": [1]}\n\n@decorator\n"})),
                ("done", json!({"summary": "All is there."})),
            ],
        },
        Case {
            about: "a change of some lines",
            text: "@@ edit src/a.rs\n<<<<<<< SEARCH\nfn a() {}\n=======\nfn a() -> u8 {\n    1\n}\n>>>>>>> REPLACE\n@@ end\n",
            calls: vec![(
                "edit",
                json!({"path": "src/a.rs", "search": "fn a() {}", "replace": "fn a() -> u8 {\n    1\n}"}),
            )],
        },
        Case {
            about: "lines that mean something to the protocol",
            text: "@@ write a.diff\n\\@@ -1 +1 @@\n\\\\@@ x\n@@ end\n@@ append n.md\n```json\n{\"name\": \"done\"}\n```\n@@ end\n",
            calls: vec![
                ("write", json!({"path": "a.diff", "content": "@@ -1 +1 @@\n\\@@ x\n"})),
                ("append", json!({"path": "n.md", "content": "```json\n{\"name\": \"done\"}\n```\n"})),
            ],
        },
        Case {
            about: "questions",
            text: "@@ read a.py 20-80\n@@ read b.py\n@@ search load items\n@@ run python3 -m unittest -v\n",
            calls: vec![
                ("read", json!({"path": "a.py", "first": 20, "last": 80})),
                ("read", json!({"path": "b.py"})),
                ("search", json!({"query": "load items"})),
                ("run", json!({"command": "python3 -m unittest -v"})),
            ],
        },
        Case {
            about: "taking away",
            text: "@@ delete old.py\n@@ edit a.md\n<<<<<<< SEARCH\ngone\n=======\n>>>>>>> REPLACE\n@@ end\n@@ note It is not used.\n",
            calls: vec![
                ("delete", json!({"path": "old.py"})),
                ("edit", json!({"path": "a.md", "search": "gone\n", "replace": ""})),
                ("note", json!({"text": "It is not used."})),
            ],
        },
        Case {
            about: OF_OTHERS,
            text: "@@ call shelf.count\n{\"text\": \"a\\nb\", \"more\": {\"n\": [1]}}\n@@ end\n@@ call shelf.all\n@@ end\n",
            calls: vec![
                ("call", json!({"tool": "shelf.count", "arguments": {"text": "a\nb", "more": {"n": [1]}}})),
                ("call", json!({"tool": "shelf.all", "arguments": {}})),
            ],
        },
        Case {
            about: "a path that leaves the project",
            text: "@@ write ../a.py\nx\n@@ end\n",
            calls: vec![("write", json!({"path": "../a.py", "content": "x"}))],
        },
    ]
}

/// The forms that models write calls in as text.
fn as_json(calls: &[(&str, Value)]) -> Vec<(&'static str, String)> {
    let each = |form: &dyn Fn(&str, &Value) -> Value| -> Vec<String> {
        calls.iter().map(|(name, arguments)| format!("{:#}", form(name, arguments))).collect()
    };
    let named = each(&|name, arguments| json!({ "name": name, "arguments": arguments }));
    let listed: Vec<_> = calls
        .iter()
        .map(|(name, arguments)| {
            json!({ "type": "function", "function": { "name": name, "arguments": arguments.to_string() } })
        })
        .collect();
    let beside = each(&|name, arguments| {
        let mut call = arguments.clone();
        call["tool"] = json!(name);
        call
    });
    vec![
        ("one after the other", named.join("\n")),
        ("in a fence", format!("```json\n[{}]\n```\n", named.join(","))),
        ("in tags", named.iter().map(|call| format!("<tool_call>\n{call}\n</tool_call>\n")).collect()),
        ("as OpenAI's list", json!({ "tool_calls": listed }).to_string()),
        ("with the arguments beside the name", beside.join("\n\n")),
        ("with a thought before", format!("Let me do that {{now}}.\n\n{}", named.join("\n"))),
    ]
}

/// Thoughts aside: that a form has words around it says nothing.
fn actions(understood: Understood, has_thoughts: bool) -> (Vec<Action>, Vec<String>) {
    let mut actions = understood.actions;
    if has_thoughts {
        actions.retain(|action| *action != Action::Note { text: "Let me do that {now}.".into() });
    }
    (actions, understood.problems)
}

#[test]
fn the_same_reply_asks_for_the_same_in_every_form() {
    for Case { about, text, calls } in cases() {
        let written = actions(blocks::understand(text, Finish::Stop), false);
        assert_eq!(
            written.1.is_empty(),
            about != "a path that leaves the project",
            "{about}: {:?}",
            written.1
        );
        let called: String =
            calls.iter().map(|(name, arguments)| native::to_text(name, &arguments.to_string())).collect();
        assert_eq!(actions(blocks::understand(&called, Finish::Stop), false), written, "{about}, native");
        for (form, text) in as_json(&calls) {
            // Beside the arguments there is no place for the name where one of them is called like it.
            if about == OF_OTHERS && form == "with the arguments beside the name" {
                continue;
            }
            let understood = blocks::understand(&text, Finish::Stop);
            assert_eq!(actions(understood, form.contains("thought")), written, "{about}, {form}:\n{text}");
        }
    }
}

#[test]
fn a_tool_of_another_program_may_be_called_by_its_name() {
    let arguments = json!({"text": "a"}).as_object().unwrap().clone();
    let expected = [Action::Call { tool: "shelf.count".into(), arguments }];
    for text in [
        "@@ call shelf.count {\"text\": \"a\"}",
        "@@ call `shelf.count`\n```json\n{\n  \"text\": \"a\"\n}\n```\n@@ end",
        "@@ call shelf.count\n{\"text\": \"a\"}",
        "{\"tool\": \"shelf.count\", \"arguments\": {\"text\": \"a\"}}",
        "```json\n{\"name\": \"shelf.count\", \"arguments\": {\"text\": \"a\"}}\n```",
    ] {
        let understood = blocks::understand(text, Finish::Stop);
        assert_eq!((&understood.actions[..], &understood.problems[..]), (&expected[..], &[][..]), "{text}");
    }
    for (text, said) in [
        ("@@ call\n{}\n@@ end", "names no tool"),
        ("@@ call shelf.count\n{\"text\": \n@@ end", "no JSON object"),
        ("@@ call shelf.count\n[1]\n@@ end", "no JSON object"),
    ] {
        let understood = blocks::understand(text, Finish::Stop);
        assert!(understood.problems[0].contains(said), "{text}: {understood:?}");
    }
}

#[test]
fn json_that_is_no_call_is_text() {
    for text in [
        "{\"name\": \"lodash.debounce\", \"version\": \"4.0.8\"}",
        "{\"name\": \"ann\", \"age\": 3}",
        "[1, 2, 3]",
        "{\"name\": \"write\"",
        "[{\"name\": \"done\", \"arguments\": {\"summary\": \"x\"}}, {\"name\": \"ann\"}]",
    ] {
        let understood = blocks::understand(text, Finish::Stop);
        assert!(understood.problems[0].contains("has no block"), "{text}: {understood:?}");
    }
    // Where there are blocks, JSON between them is a part of what they say.
    let text = "@@ write a.json\n{\"name\": \"done\", \"arguments\": {\"summary\": \"x\"}}\n@@ end\n";
    let understood = blocks::understand(text, Finish::Stop);
    assert!(matches!(&understood.actions[..], [Action::Edit { .. }]), "{understood:?}");
    // What was cut is not done, in whichever form.
    let text = "{\"name\": \"delete\", \"arguments\": {\"path\": \"a.py\"}}";
    assert!(blocks::understand(text, Finish::Length).actions.is_empty());
}
