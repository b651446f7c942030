use edvac_memory::store::Edit;
use serde_json::json;

use super::*;
use crate::client::Finish;
use crate::protocol::Action;
use crate::protocol::blocks::understand;
use crate::testing::{accepts, matcher};

const GOOD: [&str; 9] = [
    "@@ done nothing to do",
    "@@ write a.py\nx = 1\n@@ end\n@@ done It is there.\n",
    "@@ write src/deep/.hidden-file.tar.gz\n@decorator\ndef f():\n    return \"@@\"\n@@ end\n@@ done x",
    "@@ write a.py\n\n\n\nx = 1\n\ny\n@@ end\n@@ write b.py\n=======\n@@ end\n@@ done x",
    "@@ edit a.py\n<<<<<<< SEARCH\nold\n\nolder\n=======\nnew\n>>>>>>> REPLACE\n@@ end\n@@ done x",
    "@@ edit a.py\n<<<<<<< SEARCH\na\n=======\n>>>>>>> REPLACE\n<<<<<<< SEARCH\nb\n=======\nB\n>>>>>>> REPLACE\n@@ end\n@@ done x",
    "@@ note first I look\n@@ delete b.py\n@@ read a.py 1-80\n",
    "@@ search wörter",
    "@@ run python3 -m unittest -v",
];

const BAD: [&str; 14] = [
    "Here is the file:",
    "@@ write a.py\nx = 1\n@@ end\n",
    "@@ write a.py\n@@ end\n@@ done x",
    "@@ write a.py\n\n@@ end\n@@ done x",
    "@@ write a.py\nx\n@@ done x",
    "@@ write /a.py\nx\n@@ end\n@@ done x",
    "@@ write ../a.py\nx\n@@ end\n@@ done x",
    "@@ write a/../b.py\nx\n@@ end\n@@ done x",
    "@@ edit a.py\nx\n@@ end\n@@ done x",
    "@@ edit a.py\n<<<<<<< SEARCH\n=======\nnew\n>>>>>>> REPLACE\n@@ end\n@@ done x",
    "@@ create a.py\nx\n@@ end\n@@ done x",
    "@@ done x\n@@ done y",
    "@@ read a.py\n@@ done y",
    "@@ write a.py\nx\n\n\n\n\n\ny\n@@ end\n@@ done x",
];

#[test]
fn the_grammar_is_the_protocol() {
    let grammar = grammar(&GrammarOptions::default());
    for text in GOOD {
        assert_eq!(accepts(&grammar, text), Ok(()), "{text:?}");
        assert!(understand(text, Finish::Stop).problems.is_empty(), "{text:?}");
    }
    for text in BAD {
        assert!(accepts(&grammar, text).is_err(), "{text:?}");
    }
}

#[test]
fn options_narrow_it() {
    let options = GrammarOptions {
        blocks_max: 2,
        run: false,
        writes: vec!["a.py".into(), "test_a.py".into()],
        edits: false,
        ..GrammarOptions::default()
    };
    let grammar = grammar(&options);
    assert_eq!(accepts(&grammar, "@@ write test_a.py\nx\n@@ end\n@@ done x"), Ok(()));
    for text in
        [GOOD[4], "@@ write b.py\nx\n@@ end\n@@ done x", "@@ run ls", "@@ note a\n@@ note b\n@@ done x"]
    {
        assert!(accepts(&grammar, text).is_err(), "{text:?}");
    }
}

#[test]
fn a_call_has_the_arguments_of_its_tool() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["path"],
        "properties": {
            "path": {"type": "string", "format": "some-path"}, "head": {"type": "integer", "minimum": 1},
            "sort": {"enum": ["name", "size"]},
        },
        "additionalProperties": false,
    });
    let called = vec![
        ("files.read".to_owned(), schema),
        ("files.read_all".to_owned(), json!({"type": "object"})),
        ("files.now".to_owned(), json!({"type": "object", "properties": {}})),
    ];
    let grammar = grammar(&GrammarOptions { called, ..GrammarOptions::default() });
    let call = |tool: &str, arguments: &str| format!("@@ call {tool}\n{arguments}\n@@ end\n");
    for text in [
        call("files.read", r#"{"path":"a.py"}"#),
        call("files.read", r#"{"path":"a\"\n@@ end","head":3,"sort":"size"}"#),
        call("files.read_all", r#"{"any":[1]}"#),
        call("files.now", "{}"),
        format!("@@ note First I look.\n{}", call("files.now", "{}")),
        "@@ read a.py".to_owned(),
    ] {
        assert_eq!(accepts(&grammar, &text), Ok(()), "{text:?}");
        assert!(understand(&text, Finish::Stop).problems.is_empty(), "{text:?}");
    }
    for text in [
        call("files.read", "{}"),
        call("files.read", r#"{"path":1}"#),
        call("files.read", r#"{"path":"a","tail":1}"#),
        call("files.write", "{}"),
        call("files.now", "{}") + "@@ done x",
    ] {
        assert!(accepts(&grammar, &text).is_err(), "{text:?}");
    }
}

#[test]
fn a_file_of_code_ends_with_its_fence() {
    let writes = ["a.mjs", "a.txt", "Makefile"].map(str::to_owned).to_vec();
    let grammar = grammar(&GrammarOptions { writes, fenced: Some(Vec::new()), ..GrammarOptions::default() });
    let code = "@@ write a.mjs\n```javascript\nlet x = `\n`;\n```\n@@ end\n@@ done x";
    for text in
        [code, "@@ write a.txt\n```\nx\n```\ny\n@@ end\n@@ done x", "@@ write Makefile\nx\n@@ end\n@@ done x"]
    {
        assert_eq!(accepts(&grammar, text), Ok(()), "{text:?}");
    }
    for text in [
        code.replace("javascript", "python"),
        code.replace("```\n@@ end", "@@ end"),
        code.replace("```\n@@ end", "```\nThis is a file.\n@@ end"),
        code.replace("let", "```\nlet"),
        code.replace("let", "def test_a():\nlet"),
    ] {
        assert!(accepts(&grammar, &text).is_err(), "{text:?}");
    }
    let actions = understand(code, Finish::Stop).actions;
    let edit = Edit::Write { path: "a.mjs".into(), content: "let x = `\n`;\n".into() };
    assert_eq!(actions[0], Action::Edit { edit });
}

#[test]
fn one_file_may_be_all() {
    let options = GrammarOptions { blocks_max: 2, each: vec!["a.py".into()], ..GrammarOptions::default() };
    let grammar = grammar(&options);
    let file = "@@ write a.py\nx\n@@ end\n";
    assert_eq!(accepts(&grammar, &format!("{file}@@ done x")), Ok(()));
    assert!(accepts(&grammar, &format!("{file}@@ delete b.py\n@@ done x")).is_err());
}

#[test]
fn a_file_of_tests_has_one_or_two_for_each_requirement() {
    let grammar_of = |path: &str| {
        grammar(&GrammarOptions {
            each: vec![path.into()],
            fenced: Some(vec![TestFile {
                path: path.into(),
                ids: vec!["R2".into(), "R4".into()],
                given: None,
            }]),
            ..GrammarOptions::default()
        })
    };
    let python = |tests: &[&str]| {
        let test = |name: &&str| format!("    def test_{name}(self):\n        self.assertTrue(1)\n\n");
        let tests: String = tests.iter().map(test).collect();
        format!(
            "@@ write test_a.py\n```python\nimport a\n\n\nclass ATest:\n    def setUp(self):\n        self.x = 1\n\n{tests}unittest.main()\n```\n@@ end\n@@ done x"
        )
    };
    let of_python = grammar_of("test_a.py");
    for tests in [&["r2_adds", "r4_lists"][..], &["r2_adds", "r2_more", "r4_lists", "r4_none"]] {
        assert_eq!(accepts(&of_python, &python(tests)), Ok(()), "{tests:?}");
        for other in ["def list_test", "def.test_r9_more"] {
            let other = python(tests).replace("def setUp", other);
            assert!(accepts(&of_python, &other).is_err(), "a test that nobody finds");
        }
    }
    for tests in [
        &["r2_adds"][..],
        &["r4_lists", "r2_adds"],
        &["r2_adds", "r4_lists", "r5_none"],
        &["r2_adds", "r2_more", "r2_most", "r4_lists"],
    ] {
        assert!(accepts(&of_python, &python(tests)).is_err(), "{tests:?}");
    }
    let javascript = |tests: &[&str]| {
        let test = |name: &&str| format!("test(\"{name}\", async () => {{\n  assert.ok(1);\n}});\n\n");
        let tests: String = tests.iter().map(test).collect();
        format!(
            "@@ write a.test.mjs\n```javascript\nimport test from \"node:test\";\n\n{tests}```\n@@ end\n@@ done x"
        )
    };
    let of_javascript = grammar_of("a.test.mjs");
    assert_eq!(accepts(&of_javascript, &javascript(&["R2: a", "R4: b"])), Ok(()));
    assert!(accepts(&of_javascript, &javascript(&["R2: a", "R3: b", "R4: b"])).is_err());
}

#[test]
fn a_chapter_has_its_length() {
    let options = GrammarOptions {
        writes: vec!["src/chapter-01.md".into()],
        chapter: Some(Chapter { words: (90, 130), ..Chapter::default() }),
        ..GrammarOptions::default()
    };
    let grammar = grammar(&options);
    let paragraph = "The fox went down to the river and looked at the water for a long time. ".repeat(3);
    let paragraph = paragraph.trim_end();
    let chapter = |body: &str| format!("@@ write src/chapter-01.md\n# The River\n\n{body}@@ end\n@@ done x");
    let two = format!("## Morning\n\n{paragraph}\n\n{paragraph}\n");
    assert_eq!(accepts(&grammar, &chapter(&two)), Ok(()));
    assert!(accepts(&grammar, &chapter(&format!("{paragraph}\n"))).is_err(), "one paragraph is too short");
    assert!(accepts(&grammar, &chapter(&two.repeat(2))).is_err(), "four paragraphs are too long");
    assert!(accepts(&grammar, &chapter("Short.\n\nShort.\n")).is_err(), "lines are no paragraphs");
    assert!(accepts(&grammar, &chapter(&two.replace(".\n", ",\n"))).is_err(), "a sentence ends");
}

#[test]
fn a_chapter_is_written_section_by_section() {
    let grammar_of = |section| {
        let title = Some("The \"Fox\"".to_owned());
        grammar(&GrammarOptions {
            each: vec!["src/chapter-01.md".into()],
            chapter: Some(Chapter { title, section: Some(section), words: (90, 130), foreign: false }),
            ..GrammarOptions::default()
        })
    };
    let paragraph = "The fox went down to the river and looked at the water for a long time. ".repeat(3);
    let text = format!("## Morning\n\n{paragraph}\n\n{}\n", paragraph.trim_end()).replace(" \n", "\n");
    let reply = |begin: &str| format!("@@ append src/chapter-01.md\n{begin}{text}@@ end\n@@ done x");
    let (first, second) = (grammar_of(1), grammar_of(2));
    assert_eq!(accepts(&first, &reply("# The \"Fox\"\n\n")), Ok(()));
    assert!(accepts(&first, &reply("# The Wolf\n\n")).is_err(), "another title");
    assert!(accepts(&first, &reply("")).is_err(), "no title");
    assert_eq!(accepts(&second, &reply("")), Ok(()));
    assert!(accepts(&second, &reply("# The \"Fox\"\n\n")).is_err(), "the title is there already");
    assert!(accepts(&second, &reply("").replace("@@ append", "@@ write")).is_err(), "what is there stays");
    assert!(accepts(&second, &reply("").replace("river", "河")).is_err(), "another script");
    assert!(accepts(&second, &reply("").replace("time.\n", "time and\n")).is_err(), "a sentence ends");
    assert_eq!(accepts(&second, &reply("").replacen("The fox", "Mr. Fox, \"the red one.\"", 2)), Ok(()));
    assert!(accepts(&second, &reply("").replace("time.\n", "time.)))\n")).is_err(), "it ends once");
}

/// Replies that a model of no sense at all writes under the grammar: any allowed byte, a line end more often.
#[test]
fn whatever_is_written_under_it_is_understood() {
    let grammar = grammar(&GrammarOptions { blocks_max: 3, ..GrammarOptions::default() });
    let mut finished = 0;
    for seed in 0..6_u64 {
        let mut state = seed * 7919 + 1;
        let mut matcher = matcher(&grammar);
        let mut bytes = Vec::new();
        for _ in 0..1500 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mask = matcher.compute_mask().unwrap();
            let allowed: Vec<u32> = mask.iter().filter(|t| *t < 128).collect();
            let newline = mask.is_allowed(u32::from(b'\n')) && (state >> 40) % 6 == 0;
            let Some(&any) = allowed.get((state >> 33) as usize % allowed.len().max(1)) else { break };
            let next = if newline { u32::from(b'\n') } else { any };
            matcher.consume_token(next).unwrap();
            bytes.push(next as u8);
            if matcher.is_stopped() {
                break;
            }
        }
        if matcher.is_stopped() || matcher.is_accepting().unwrap() {
            finished += 1;
            let text = String::from_utf8(bytes).unwrap();
            let problems = understand(&text, Finish::Stop).problems;
            assert!(problems.is_empty(), "{problems:?} in {text:?}");
        }
    }
    assert!(finished > 0, "no reply came to its end");
}

#[test]
fn a_repair_begins_with_its_cause_and_does_something() {
    let options = |reads: &[&str]| GrammarOptions {
        repairs: true,
        run: false,
        reads: Some(reads.iter().map(|&r| r.to_owned()).collect()),
        ..GrammarOptions::default()
    };
    let grammar_with = grammar(&options(&["a.py"]));
    for text in [
        "@@ note x is None\n@@ write a.py\nx = 1\n@@ end\n@@ done x",
        "@@ note where is x\n@@ read a.py 1-9\n",
    ] {
        assert_eq!(accepts(&grammar_with, text), Ok(()), "{text:?}");
    }
    for text in [
        "@@ write a.py\nx = 1\n@@ end\n@@ done x",
        "@@ note a thought\n@@ done x",
        "@@ done x",
        "@@ note where is x\n@@ read tasks.json\n",
    ] {
        assert!(accepts(&grammar_with, text).is_err(), "{text:?}");
    }
    let without = grammar(&options(&[]));
    assert!(accepts(&without, "@@ note where is x\n@@ read a.py\n").is_err());
    assert!(accepts(&without, "@@ note where is x\n@@ search x\n").is_err());
}

#[test]
fn a_file_with_a_form_looks_like_it() {
    let form = r#""[book]\ntitle = \"" /[^"\\\r\n]{1,80}/ "\"\n""#;
    let options = GrammarOptions {
        writes: vec!["book.toml".into(), "a.md".into()],
        forms: vec![("book.toml".into(), form.into()), ("other.md".into(), "\"x\n\"".into())],
        ..GrammarOptions::default()
    };
    let both = grammar(&options);
    let good = "@@ write book.toml\n[book]\ntitle = \"A\"\n@@ end\n";
    let free = "@@ write a.md\nanything\n@@ end\n";
    assert_eq!(accepts(&both, &format!("{good}{free}@@ done x")), Ok(()));
    assert!(accepts(&both, "@@ write book.toml\n[book]\nsettings\n@@ end\n@@ done x").is_err());
    let only = grammar(&GrammarOptions { writes: vec!["book.toml".into()], ..options });
    assert_eq!(accepts(&only, &format!("{good}@@ done x")), Ok(()));
    assert!(accepts(&only, &format!("{free}@@ done x")).is_err());
}

#[test]
fn manifests_have_their_forms() {
    let templates = crate::templates::Templates::load(None).unwrap();
    let domain: toml::Table =
        toml::from_str(templates.text("domains/codebase/domain.toml").unwrap()).unwrap();
    let forms = domain["form"].as_array().unwrap();
    let fits = |path: &str, key: &str, text: &str| {
        let form = forms.iter().find(|form| form["path"].as_str() == Some(path)).unwrap();
        let options = GrammarOptions {
            writes: vec![path.into()],
            forms: vec![(path.into(), form[key].as_str().unwrap().into())],
            ..GrammarOptions::default()
        };
        accepts(&grammar(&options), &format!("@@ write {path}\n{text}@@ end\n@@ done x")).is_ok()
    };
    let package = "[package]\nname = \"roman-numerals\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let needing = format!(
        "{package}\n[dependencies]\nclap = {{ version = \"4.5\", features = [\"derive\"] }}\nserde_json = \"1\"\n"
    );
    assert!(fits("Cargo.toml", "lark", package));
    assert!(!fits("Cargo.toml", "lark", &needing));
    assert!(!fits("Cargo.toml", "lark", "[lib]\nproc-macro = true\n"));
    assert!(fits("Cargo.toml", "lark_with_packages", &needing));
    assert!(!fits("Cargo.toml", "lark_with_packages", &needing.replace("\"1\"", "{ git = \"x\" }")));
    assert!(fits("go.mod", "lark", "module calc\n\ngo 1.19\n"));
}

#[test]
fn each_file_is_written_once_and_before_anything_else() {
    let options = GrammarOptions {
        each: vec!["a.py".into(), "test_a.py".into()],
        writes: vec![],
        edits: false,
        reads: Some(vec![]),
        run: false,
        ..GrammarOptions::default()
    };
    let file = |path: &str| format!("@@ write {path}\nx = 1\n@@ end\n");
    let both = file("a.py") + &file("test_a.py");
    let alone = grammar(&options);
    for text in
        [both.clone() + "@@ done x", "@@ note a thought\n".to_owned() + &both + "@@ delete b.py\n@@ done x"]
    {
        assert_eq!(accepts(&alone, &text), Ok(()), "{text:?}");
    }
    for text in [
        file("a.py") + "@@ done x",
        file("test_a.py") + &file("a.py") + "@@ done x",
        both.clone() + &file("a.py") + "@@ done x",
        "@@ done x".to_owned(),
        "@@ read a.py\n".to_owned(),
    ] {
        assert!(accepts(&alone, &text).is_err(), "{text:?}");
    }
    let beside = GrammarOptions { writes: vec!["b.py".into()], reads: None, ..options };
    let beside = grammar(&beside);
    for text in
        [both.clone() + &file("b.py") + "@@ done x", "@@ note what is in b?\n@@ read b.py\n".to_owned()]
    {
        assert_eq!(accepts(&beside, &text), Ok(()), "{text:?}");
    }
    assert!(accepts(&beside, &(file("b.py") + &both + "@@ done x")).is_err());
}
