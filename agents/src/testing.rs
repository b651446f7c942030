//! What several tests of this crate need.

use edvac_memory::context::TokenCounter;
use edvac_memory::ids::InstructionId;
use edvac_memory::program::{Check, CheckKind, Instruction, Program, Requirement};
use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use toktrie::ApproximateTokEnv;

use crate::client::{Cancel, Message, ModelRequest, Sampling, Speaker};
use crate::templates::Templates;

/// Counts words: numbers that a person can check.
pub struct Words;

impl TokenCounter for Words {
    fn count(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }
}

/// The built-in templates.
pub fn templates() -> Templates {
    Templates::load(None).unwrap()
}

/// A matcher over bytes for `grammar`.
pub fn matcher(grammar: &str) -> Matcher {
    let env = ApproximateTokEnv::single_byte_env();
    let mut factory = ParserFactory::new_simple(&env).unwrap();
    factory.quiet();
    let parser = factory.create_parser(TopLevelGrammar::from_lark(grammar.to_owned()));
    Matcher::new(parser)
}

/// Checks that `text` is a whole reply under `grammar`; says where it stops being one.
pub fn accepts(grammar: &str, text: &str) -> Result<(), String> {
    let mut matcher = matcher(grammar);
    let env = matcher.tok_env().map_err(|e| e.to_string())?;
    let tokens = env.tokenize(text);
    let taken = matcher.try_consume_tokens(&tokens).map_err(|e| e.to_string())?;
    if taken < tokens.len() {
        return Err(format!("stops after {:?}", &text[..taken.min(text.len())]));
    }
    let whole = matcher.is_stopped() || matcher.is_accepting().map_err(|e| e.to_string())?;
    if whole { Ok(()) } else { Err("is not at an end".to_owned()) }
}

/// A request with one user message.
pub fn request(text: &str) -> ModelRequest {
    ModelRequest {
        messages: vec![
            Message { speaker: Speaker::System, text: "Be brief.".into() },
            Message { speaker: Speaker::User, text: text.into() },
        ],
        tokens_max: 100,
        sampling: Sampling::default(),
        grammar: None,
        stop: vec![],
        tools: false,
        called: Vec::new(),
        loop_rewinds_max: 0,
        sentences_once: false,
    }
}

/// A cancel that never comes.
pub fn never() -> Cancel {
    tokio::sync::watch::channel(false).1
}

/// A cancel that came already.
pub fn at_once() -> Cancel {
    tokio::sync::watch::channel(true).1
}

/// A program of two steps in a domain.
pub fn program(domain: &str, language: &str) -> Program {
    let check = |kind| Check { kind, covers: vec![] };
    let (first, second, checks) = if domain == "book" {
        let path = || "src/chapter-01.md".to_owned();
        let checks = vec![
            check(CheckKind::Exists { path: path() }),
            check(CheckKind::Words { path: path(), section: None, min: 600, max: 1200 }),
            check(CheckKind::Headings { path: path(), sections_min: 2 }),
            check(CheckKind::Outline {
                path: path(),
                section: None,
                beats: vec!["the ford".into(), "the bell".into()],
            }),
            check(CheckKind::Canon { path: path(), canon: "src/canon.md".into() }),
        ];
        (vec!["src/canon.md".to_owned()], vec![path()], checks)
    } else {
        let checks = vec![
            check(CheckKind::Exists { path: "shelf.py".into() }),
            check(CheckKind::Parses { path: "shelf.py".into() }),
            Check { kind: CheckKind::Tests, covers: vec![] },
        ];
        (vec!["books.py".to_owned()], vec!["shelf.py".to_owned(), "test_shelf.py".to_owned()], checks)
    };
    let step = |id: u32, title: &str, text: &str, covers: &str, writes: Vec<String>, checks| Instruction {
        id: InstructionId(id),
        title: title.into(),
        text: text.into(),
        covers: vec![covers.into()],
        reads: vec![],
        writes,
        checks,
        retires: vec![],
        attempts_max: 3,
        ..Instruction::default()
    };
    Program {
        title: "shelf".into(),
        task: None,
        domain: domain.into(),
        language: language.into(),
        requirements: vec![
            Requirement { id: "R1".into(), text: "A book has a title and an author.".into() },
            Requirement { id: "R2".into(), text: "A shelf lists its books by title.".into() },
        ],
        instructions: vec![
            step(1, "Books", "Write the books.", "R1", first, vec![]),
            step(2, "The shelf", "Write the shelf.\n- It lists its books by title.", "R2", second, checks),
        ],
    }
}
