//! The text protocol: a reply is a sequence of blocks, each begun by a line `@@ verb args`.
//!
//! [`understand`] is tolerant where the meaning is certain (text between blocks, a fence around a file, carriage
//! returns, spaces at the end of a header) and strict where it is not: a block without its end, a path that leaves
//! the project, a search without its replacement. What is wrong is said to the model in one sentence each.
//!
//! A body may hold any text: a line of a body that begins with `@@` is written `\@@`, and loses that one backslash
//! when it is read. [`quote_line`] writes it.

use edvac_memory::store::{Edit, path};
use serde_json::{Map, Value};

use super::{Action, Understood, edit, json};
use crate::client::Finish;
pub use crate::protocol::grammar::{GrammarOptions, grammar};

/// Most blocks that are read from one reply; a model that loops writes more.
pub const BLOCKS_MAX: usize = 40;
/// The verbs, as problems name them.
const VERBS: &str = "write, append, edit, delete, read, search, run, note, done";
/// The verbs that end with their line.
const ONE_LINE_VERBS: [&str; 6] = ["delete", "read", "search", "run", "note", "done"];
/// How a tool is called, as problems say it.
const CALL_FORM: &str =
    "Write `@@ call NAME`, then one JSON object with its arguments on the next lines, then `@@ end`.";
/// What begins a header.
const MARK: &str = "@@";

/// What a reply asks for, and what in it could not be used.
///
/// When there is any problem, none of the reply's edits may reach the store; of a reply that was cut, no edit is
/// even returned.
pub fn understand(text: &str, finish: Finish) -> Understood {
    let mut reading = Reading::default();
    let mut text = clean(text);
    if !text.lines().any(|line| header(line, false).is_some())
        && let Some(called) = json::as_blocks(&text)
    {
        text = called;
    }
    for block in split(&text) {
        if reading.blocks == BLOCKS_MAX {
            reading.problem(format!(
                "Your reply has more than {BLOCKS_MAX} blocks. Write at most {BLOCKS_MAX}."
            ));
            break;
        }
        reading.block(block);
    }
    reading.finish(finish)
}

/// A body line as it must be written so that it is not taken for a header, or for a marker of an edit.
pub fn quote_line(line: &str, in_edit: bool) -> String {
    if needs_quote(line.trim_start_matches('\\'), in_edit) { format!("\\{line}") } else { line.to_owned() }
}

/// The body line that [`quote_line`] was given.
pub(super) fn unquote_line(line: &str, in_edit: bool) -> &str {
    match line.strip_prefix('\\') {
        Some(rest) if needs_quote(rest.trim_start_matches('\\'), in_edit) => rest,
        _ => line,
    }
}

fn needs_quote(line: &str, in_edit: bool) -> bool {
    line.starts_with(MARK) || (in_edit && edit::marker(line).is_some())
}

/// Line ends as `\n`, no byte order mark, and without the part in which reasoning models think aloud.
fn clean(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    match text.trim_start().strip_prefix("<think>").and_then(|rest| rest.split_once("</think>")) {
        Some((_, reply)) => reply.to_owned(),
        None => text,
    }
}

/// One part of a reply as it stands there.
#[derive(Debug)]
enum Raw<'a> {
    /// Text between blocks.
    Outside(Vec<&'a str>),
    /// A header, the lines after it, and whether `@@ end` closed them.
    Block { verb: String, args: &'a str, body: Vec<&'a str>, ended: bool },
}

fn split(text: &str) -> Vec<Raw<'_>> {
    let mut out: Vec<Raw<'_>> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match header(line, open) {
            Some(("end", _)) => {
                if let Some(Raw::Block { ended, .. }) = out.last_mut() {
                    *ended = true;
                }
                open = false;
            }
            Some((verb, args)) => {
                let verb = verb.to_lowercase();
                // A one-line block has no body; an unknown one may, and it must not be read as anything else.
                open = args.is_empty() || !ONE_LINE_VERBS.contains(&verb.as_str());
                out.push(Raw::Block { verb, args, body: Vec::new(), ended: false });
            }
            None => match out.last_mut() {
                Some(Raw::Block { body, .. }) if open => body.push(line),
                Some(Raw::Outside(lines)) => lines.push(line),
                _ => out.push(Raw::Outside(vec![line])),
            },
        }
    }
    out
}

/// Verb and arguments of a header line. Outside a body a header may be indented or wrapped in backticks: nothing else
/// can be meant there.
fn header(line: &str, in_body: bool) -> Option<(&str, &str)> {
    let line = if in_body { line.trim_end() } else { line.trim().trim_matches('`') };
    let rest = line.strip_prefix(MARK)?.trim();
    let (verb, args) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some((verb, args.trim()))
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    out: Understood,
    blocks: usize,
}

impl Reading {
    fn problem(&mut self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        // A mistake that is made five times is one thing to say.
        if !self.out.problems.contains(&sentence) {
            self.out.problems.push(sentence);
        }
    }

    fn action(&mut self, header: &str, action: Action) {
        let is_note = matches!(action, Action::Note { .. });
        if !is_note && self.out.actions.contains(&action) {
            return self.problem(format!("`{header}` stands in your reply twice. Write each block once."));
        }
        self.out.actions.push(action);
    }

    fn block(&mut self, raw: Raw<'_>) {
        let (verb, args, body, ended) = match raw {
            Raw::Outside(lines) => return self.outside(&lines),
            Raw::Block { verb, args, body, ended } => (verb, args, body, ended),
        };
        self.blocks += 1;
        let header = format!("{MARK} {verb} {args}").trim_end().to_owned();
        match verb.as_str() {
            "write" | "append" | "edit" => self.with_body(&verb, &header, args, &body, ended),
            "call" => self.call(args, &body),
            known if ONE_LINE_VERBS.contains(&known) => self.one_line(known, &header, args, &body, ended),
            "unreadable" => self.problem(format!("Your tool call could not be read: {args}")),
            _ => self.problem(format!(
                "`{header}` is not a block. The blocks are: {VERBS}. A line of a file that begins with @@ is \
                 written \\@@."
            )),
        }
    }

    /// Text between blocks is kept as a note; fences that someone put around blocks say nothing.
    fn outside(&mut self, lines: &[&str]) {
        let kept: Vec<_> = lines.iter().filter(|l| !l.trim_start().starts_with("```")).copied().collect();
        let text = kept.join("\n").trim().to_owned();
        if !text.is_empty() {
            self.out.actions.push(Action::Note { text });
        }
    }

    fn with_body(&mut self, verb: &str, header: &str, args: &str, body: &[&str], ended: bool) {
        let Some(path) = self.path(header, args) else { return };
        if !ended {
            return self
                .problem(format!("`{header}` has no `@@ end`. Close it with a line that is just `@@ end`."));
        }
        let body = unfence(&path, body);
        if body.iter().all(|l| l.trim().is_empty()) {
            return self.problem(format!(
                "`{header}` is empty. Write the lines of the file between it and `@@ end`."
            ));
        }
        if verb != "edit" {
            let content = body.iter().map(|l| unquote_line(l, false).to_owned() + "\n").collect();
            let edit =
                if verb == "write" { Edit::Write { path, content } } else { Edit::Append { path, content } };
            return self.action(header, Action::Edit { edit });
        }
        match edit::pairs(body) {
            Ok(pairs) => {
                for (search, replace) in pairs {
                    let edit = Edit::Replace { path: path.clone(), search, replace };
                    self.action(header, Action::Edit { edit });
                }
            }
            Err(what) => self.problem(format!("`{header}` {what} {}", edit::FORM)),
        }
    }

    fn one_line(&mut self, verb: &str, header: &str, args: &str, body: &[&str], ended: bool) {
        // An argument on the lines below its header: certain if the block is closed, or if only words can follow.
        let lines: Vec<_> = body.iter().map(|l| unquote_line(l, false)).collect();
        let below = lines.join("\n").trim().to_owned();
        let takes_below = args.is_empty() && !below.is_empty() && (ended || matches!(verb, "done" | "note"));
        let argument = if takes_below { below } else { args.to_owned() };
        if argument.is_empty() && verb != "done" {
            return self.problem(format!(
                "`{header}` says nothing. Write it as one line, like `{}`.",
                example(verb)
            ));
        }
        match verb {
            "delete" => {
                if let Some(path) = self.path(header, &argument) {
                    self.action(header, Action::Edit { edit: Edit::Delete { path } });
                }
            }
            "read" => self.read(header, &argument),
            "search" => self.action(header, Action::Search { query: argument }),
            "run" => self.action(header, Action::Run { command: argument.trim_matches('`').to_owned() }),
            "note" => self.action(header, Action::Note { text: argument }),
            _ => self.action(header, Action::Done { summary: argument }),
        }
        if !takes_below {
            self.outside(body);
        }
    }

    /// The arguments of a call may stand behind the tool's name or below it. Where they are a whole object, it is certain what is
    /// meant, with or without an end.
    fn call(&mut self, args: &str, body: &[&str]) {
        let (tool, inline) = args.split_once(char::is_whitespace).unwrap_or((args, ""));
        let tool = tool.trim_matches(['`', '"', '\'']);
        let header = format!("{MARK} call {tool}");
        if tool.is_empty() {
            return self.problem(format!("`{header}` names no tool. {CALL_FORM}"));
        }
        let lines = body.iter().map(|line| unquote_line(line, false)).filter(|line| !line.starts_with("```"));
        let text = [inline].into_iter().chain(lines).collect::<Vec<_>>().join("\n");
        let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Map<String, Value>>();
        match values.next() {
            None => self.action(&header, Action::Call { tool: tool.to_owned(), arguments: Map::new() }),
            Some(Ok(arguments)) => {
                let rest = text[values.byte_offset()..].to_owned();
                self.action(&header, Action::Call { tool: tool.to_owned(), arguments });
                self.outside(&rest.lines().collect::<Vec<_>>());
            }
            Some(Err(error)) => {
                self.problem(format!(
                    "The arguments of `{header}` are no JSON object ({error}). {CALL_FORM}"
                ));
            }
        }
    }

    fn read(&mut self, header: &str, args: &str) {
        let (name, range) = match args.rsplit_once([' ', ':']) {
            Some((name, tail)) if tail.starts_with(|c: char| c.is_ascii_digit()) => (name.trim(), Some(tail)),
            _ => (args, None),
        };
        let Some(path) = self.path(header, name) else { return };
        match range.map(line_range) {
            Some(None) => self.problem(format!(
                "`{header}` has no usable lines. Write first and last line, like `{}`.",
                example("read")
            )),
            lines => self.action(header, Action::Read { path, lines: lines.flatten() }),
        }
    }

    /// The path of a header: quotes and a leading `./` mean nothing, anything else that is wrong is refused.
    fn path(&mut self, header: &str, args: &str) -> Option<String> {
        let name = args.trim_matches(['`', '"', '\'', '<', '>']);
        let name = name.strip_prefix("./").unwrap_or(name).trim();
        match path::check(name) {
            Ok(name) => return Some(name.to_owned()),
            Err(_) if name.is_empty() => {
                self.problem(format!("`{header}` names no file. Write it like `{}`.", example("write")));
            }
            Err(error) => {
                self.problem(format!(
                    "`{header}`: {error}. Use a path inside the project, like `src/name.py`."
                ));
            }
        }
        None
    }

    fn finish(mut self, finish: Finish) -> Understood {
        let why = match finish {
            Finish::Stop => {
                if self.blocks == 0 {
                    self.problem(
                        "Your reply has no block. Begin with a line like `@@ write name.py`, then the file, then \
                         `@@ end`.",
                    );
                }
                return self.out;
            }
            Finish::Length => {
                "Your reply was too long and was cut off, so nothing of it was used. Write less: one file in this \
                 reply, the next file in the next reply, and no comments that are not needed."
            }
            Finish::ContentFilter => {
                "Your reply was withheld by the provider, so nothing of it was used. Write it in other words."
            }
        };
        // What a cut reply meant last is unknown, and so is whether its rest would have taken back the beginning:
        // only its thoughts are kept.
        self.out.actions.retain(|a| matches!(a, Action::Note { .. }));
        self.out.problems = vec![why.to_owned()];
        self.out
    }
}

fn example(verb: &str) -> &'static str {
    match verb {
        "write" | "delete" | "edit" => "@@ write src/name.py",
        "read" => "@@ read src/name.py 1-80",
        "search" => "@@ search load items",
        "run" => "@@ run python3 -m unittest -v",
        _ => "@@ note storage works",
    }
}

fn line_range(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (1 <= first && first <= last).then_some((first, last))
}

/// The body without a fence that wraps all of it. A Markdown file may well be one fenced block, so there only a
/// fence that calls itself Markdown is taken off.
fn unfence<'a, 'b>(path: &str, body: &'b [&'a str]) -> &'b [&'a str] {
    let is_text = |l: &&str| !l.trim().is_empty();
    let Some(from) = body.iter().position(is_text) else { return body };
    let to = body.iter().rposition(is_text).unwrap_or(from);
    let [first, middle @ .., last] = &body[from..=to] else { return body };
    let Some(info) = first.trim_end().strip_prefix("```") else { return body };
    let markdown = [".md", ".markdown"].iter().any(|end| path.ends_with(end));
    let certain = !markdown || matches!(info, "markdown" | "md");
    if certain && last.trim_end() == "```" { middle } else { body }
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
