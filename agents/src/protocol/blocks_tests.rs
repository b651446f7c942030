use super::*;

fn read(text: &str) -> Understood {
    understand(text, Finish::Stop)
}

fn good(text: &str) -> Vec<Action> {
    let understood = read(text);
    assert_eq!(understood.problems, Vec::<String>::new(), "in {text:?}");
    understood.actions
}

/// The only problem of a reply.
fn problem(text: &str) -> String {
    let mut problems = read(text).problems;
    assert_eq!(problems.len(), 1, "{problems:?} in {text:?}");
    problems.remove(0)
}

fn write(path: &str, content: &str) -> Action {
    Action::Edit { edit: Edit::Write { path: path.into(), content: content.into() } }
}

fn replace(path: &str, search: &str, replace: &str) -> Action {
    Action::Edit { edit: Edit::Replace { path: path.into(), search: search.into(), replace: replace.into() } }
}

fn note(text: &str) -> Action {
    Action::Note { text: text.into() }
}

#[test]
fn every_verb() {
    let reply = "@@ write a.py\nx = 1\n\n@app.route('/')\ny = 2\n@@ end\n\
                 @@ edit b.py\n<<<<<<< SEARCH\nold\n=======\nnew\nmore\n>>>>>>> REPLACE\n@@ end\n\
                 @@ delete c.py\n@@ read d.py 1-80\n@@ read e.py\n@@ search load items\n\
                 @@ run python3 -m todo list\n@@ note it is short\n@@ done All is there.\n";
    assert_eq!(
        good(reply),
        [
            write("a.py", "x = 1\n\n@app.route('/')\ny = 2\n"),
            replace("b.py", "old\n", "new\nmore\n"),
            Action::Edit { edit: Edit::Delete { path: "c.py".into() } },
            Action::Read { path: "d.py".into(), lines: Some((1, 80)) },
            Action::Read { path: "e.py".into(), lines: None },
            Action::Search { query: "load items".into() },
            Action::Run { command: "python3 -m todo list".into() },
            note("it is short"),
            Action::Done { summary: "All is there.".into() },
        ]
    );
}

#[test]
fn tolerant_where_the_meaning_is_certain() {
    let file = write("a.py", "x = 1\n");
    for reply in [
        "@@ write a.py\r\nx = 1\r\n@@ end\r\n",
        "@@ write a.py   \nx = 1\n@@ end   ",
        "@@ write `a.py`\nx = 1\n@@ end",
        "@@ WRITE ./a.py\nx = 1\n@@ end",
        "  @@ write a.py\nx = 1\n@@ end",
        "@@write a.py\nx = 1\n@@ end\n@@ end\n",
        "@@ write a.py\n```python\nx = 1\n```\n@@ end",
        "@@ write a.py\n\n```\nx = 1\n```\n\n@@ end",
        "```\n@@ write a.py\nx = 1\n@@ end\n```\n",
        "\u{feff}@@ write a.py\nx = 1\n@@ end",
        "<think>\n@@ write no.py\n</think>\n@@ write a.py\nx = 1\n@@ end",
    ] {
        assert_eq!(good(reply), std::slice::from_ref(&file), "{reply:?}");
    }
    assert_eq!(
        good("Here it is:\n\n@@ write a.py\nx = 1\n@@ end\nDone!"),
        [note("Here it is:"), file, note("Done!")]
    );
    assert_eq!(good("@@ done\nAll is there."), [Action::Done { summary: "All is there.".into() }]);
    assert_eq!(good("@@ done"), [Action::Done { summary: String::new() }]);
    assert_eq!(good("@@ run\nls\npwd\n@@ end"), [Action::Run { command: "ls\npwd".into() }]);
    for reply in ["@@ read a.py:3-9", "@@ read a.py 3-9", "@@ read `a.py` 3-9"] {
        assert_eq!(good(reply), [Action::Read { path: "a.py".into(), lines: Some((3, 9)) }]);
    }
}

#[test]
fn a_fence_is_content_in_markdown() {
    let reply = |inner: &str| format!("@@ write a.md\n{inner}\n@@ end");
    assert_eq!(good(&reply("```sh\nls\n```")), [write("a.md", "```sh\nls\n```\n")]);
    assert_eq!(good(&reply("```markdown\n# A\n```")), [write("a.md", "# A\n")]);
}

#[test]
fn several_pairs_are_several_edits() {
    let reply = "@@ edit a.py\n<<<<<<< SEARCH\none\n=======\n1\n>>>>>>> REPLACE\n\n<<<<<<< SEARCH\ntwo\n=======\n\
                 >>>>>>> REPLACE\n@@ end";
    assert_eq!(good(reply), [replace("a.py", "one\n", "1\n"), replace("a.py", "two\n", "")]);
}

#[test]
fn reserved_lines_can_be_written() {
    assert_eq!(
        good("@@ write a.patch\n\\@@ -1,3 +1,4 @@\n\\\\@@ x\n\\n\n@@ end"),
        [write("a.patch", "@@ -1,3 +1,4 @@\n\\@@ x\n\\n\n")]
    );
    assert_eq!(
        good("@@ edit a.md\n<<<<<<< SEARCH\nTitle\n\\=======\n=======\n# Title\n>>>>>>> REPLACE\n@@ end"),
        [replace("a.md", "Title\n=======\n", "# Title\n")]
    );
}

#[test]
fn strict_where_it_is_not() {
    for (reply, words) in [
        ("@@ write a.py\nx = 1\n", "has no `@@ end`"),
        ("@@ create a.py\nx = 1\n@@ end\n", "`@@ create a.py` is not a block"),
        ("@@ write /etc/passwd\nx\n@@ end", "relative to the project's root"),
        ("@@ write ../x.py\nx\n@@ end", "must not contain . or .."),
        ("@@ write .git/config\nx\n@@ end", ".git is not part of the project"),
        ("@@ read ../../secret 1-9", "must not contain . or .."),
        ("@@ write\nx\n@@ end", "names no file"),
        ("@@ write a.py\n\n  \n@@ end", "is empty"),
        ("@@ write a.py\n```python\n```\n@@ end", "is empty"),
        ("@@ read a.py 9-3", "no usable lines"),
        ("@@ read a.py 0-3", "no usable lines"),
        ("@@ run", "says nothing"),
        ("@@ edit a.py\nold\n=======\nnew\n@@ end", "lines outside its markers"),
        ("@@ edit a.py\n=======\nnew\n@@ end", "wrong order"),
        ("@@ edit a.py\n<<<<<<< SEARCH\nold\n=======\nnew\n@@ end", "not closed"),
        ("@@ edit a.py\n<<<<<<< SEARCH\n=======\nnew\n>>>>>>> REPLACE\n@@ end", "no old lines"),
        ("@@ edit a.py\n<<<<<<< SEARCH\na\n=======\na\n>>>>>>> REPLACE\n@@ end", "changes nothing"),
        ("@@ edit a.py\n\n \n@@ end", "is empty"),
        ("@@ delete a.py\n@@ delete a.py", "twice"),
        ("@@ unreadable write: its arguments are not JSON", "Your tool call could not be read"),
        ("I would write a file.", "no block"),
        ("", "no block"),
    ] {
        let found = problem(reply);
        assert!(found.contains(words), "{reply:?}: {found}");
    }
    let both = read("@@ write a.py\nx\n@@ -1,3 +1,4 @@\ny\n@@ end").problems.join(" ");
    assert!(both.contains("has no `@@ end`") && both.contains("written \\@@"), "{both}");
}

#[test]
fn nothing_of_a_cut_reply_is_used() {
    let reply = "I begin.\n@@ write a.py\nx = 1\n@@ end\n@@ write b.py\ny =";
    for (finish, words) in [(Finish::Length, "Write less"), (Finish::ContentFilter, "withheld")] {
        let understood = understand(reply, finish);
        assert_eq!(understood.actions, [note("I begin.")]);
        assert!(understood.problems.len() == 1 && understood.problems[0].contains(words));
    }
}

#[test]
fn a_looping_reply_is_bounded() {
    let reply: String = (0..500).map(|n| format!("@@ delete f{n}.py\n")).collect();
    let understood = read(&reply);
    assert_eq!(understood.actions.len(), BLOCKS_MAX);
    assert_eq!(understood.problems.len(), 1);
}

proptest::proptest! {
    /// No reply makes it panic, and without a problem every path is usable.
    #[test]
    fn any_text_is_understood(parts in proptest::collection::vec("(@@ ?(write|edit|read|end|done|x)|[a-z./ ]{0,9}|```|<<<<<<< SEARCH|=======|>>>>>>> REPLACE|\\\\@@|\\PC{0,5})\n?", 0..30)) {
        let understood = read(&parts.concat());
        for action in &understood.actions {
            if let Action::Edit { edit: Edit::Write { path, .. } | Edit::Replace { path, .. } | Edit::ReplaceLines { path, .. } | Edit::Delete { path } } = action {
                assert!(path::check(path).is_ok());
            }
        }
    }

    /// Whatever lines a file has, quoted they are read back.
    #[test]
    fn quoting_is_undone(lines in proptest::collection::vec("(@@|\\\\|=======|<<<<<<< SEARCH|[a-z ]){0,3}", 1..6)) {
        for in_edit in [false, true] {
            for line in &lines {
                let quoted = quote_line(line, in_edit);
                assert!(!quoted.starts_with(MARK));
                assert!(!(in_edit && edit::marker(&quoted).is_some()));
                assert_eq!(unquote_line(&quoted, in_edit), line);
            }
        }
    }
}
