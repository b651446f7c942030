use super::*;
use crate::client::Finish;
use crate::protocol::blocks::understand;

#[test]
fn a_call_and_its_text_ask_for_the_same() {
    for (name, arguments, text) in [
        (
            "write",
            json!({"path": "a.py", "content": "x = 1\n\ny = 2\n"}),
            "@@ write a.py\nx = 1\n\ny = 2\n@@ end",
        ),
        ("write", json!({"path": "a.py", "content": "x = 1"}), "@@ write a.py\nx = 1\n@@ end"),
        ("write", json!({"path": "p", "content": "@@ -1 +1 @@\n"}), "@@ write p\n\\@@ -1 +1 @@\n@@ end"),
        (
            "edit",
            json!({"path": "a.md", "search": "A\n=======", "replace": ""}),
            "@@ edit a.md\n<<<<<<< SEARCH\nA\n\\=======\n=======\n>>>>>>> REPLACE\n@@ end",
        ),
        ("delete", json!({"path": "a.py"}), "@@ delete a.py"),
        ("read", json!({"path": "a.py"}), "@@ read a.py"),
        ("read", json!({"path": "a.py", "first": 3, "last": 9}), "@@ read a.py 3-9"),
        ("read", json!({"path": "a.py", "last": 9}), "@@ read a.py 1-9"),
        ("search", json!({"query": "load\nitems"}), "@@ search load items"),
        ("run", json!({"command": "ls  -l"}), "@@ run ls  -l"),
        ("run", json!({"command": "ls\npwd"}), "@@ run\nls\npwd\n@@ end"),
        ("note", json!({"text": "it is short"}), "@@ note it is short"),
        ("done", json!({"summary": "All is there."}), "@@ done All is there."),
    ] {
        let called = understand(&to_text(name, &arguments.to_string()), Finish::Stop);
        let written = understand(text, Finish::Stop);
        assert_eq!(called, written, "{name} {arguments}");
        assert!(written.problems.is_empty(), "{:?}", written.problems);
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    for (name, arguments, words) in [
        ("write", "{\"path\": \"a.py\", \"conte", "not JSON"),
        ("write", "{\"path\": \"a.py\"}", "needs \"content\""),
        ("read", "[]", "needs \"path\""),
        ("launch", "{}", "no such tool"),
    ] {
        let understood = understand(&to_text(name, arguments), Finish::Stop);
        assert!(understood.actions.is_empty());
        assert!(understood.problems.len() == 1 && understood.problems[0].contains(words), "{understood:?}");
    }
}

#[test]
fn schemas_name_every_verb() {
    let names = |run| {
        tools(run, &[]).iter().map(|t| t["function"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(true), ["write", "append", "edit", "delete", "read", "search", "run", "note", "done"]);
    assert!(!names(false).contains(&"run".to_owned()));
    assert_eq!(tools(true, &[])[4]["function"]["parameters"]["required"], json!(["path"]));
    let called = ["shelf.count".to_owned(), "shelf.echo".to_owned()];
    let all = tools(true, &called);
    assert_eq!(all.len(), 10);
    assert_eq!(all[9]["function"]["parameters"]["properties"]["tool"]["enum"], json!(called));
}
