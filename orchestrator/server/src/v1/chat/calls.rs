//! Finds tool calls in a reply while it is written.

use serde::Deserialize;
use serde_json::Value;

use super::tools::{CLOSE, OPEN, spaced};

/// Most calls of a reply; more are left as text.
const CALLS_MAX: usize = 64;

/// A part of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// What it says.
    Text(String),
    /// A tool that it calls.
    Call {
        /// Which.
        name: String,
        /// With what, as JSON.
        arguments: String,
    },
}

/// Splits a reply into text and calls. What may become a call is held back until it is known; what looked like one and
/// is none stays text, so that nothing of a reply is lost.
#[derive(Debug)]
pub(super) struct Scanner {
    names: Vec<String>,
    held: String,
    calls: usize,
    /// Whether only calls and white space came since the last call.
    after_call: bool,
}

#[derive(Deserialize)]
struct Written {
    name: String,
    #[serde(default)]
    arguments: Value,
}

enum Parsed {
    Call(Piece),
    /// It breaks off within itself; the end that was found is part of a text in it.
    Unfinished,
    NoCall,
}

impl Scanner {
    /// Without names everything is text.
    pub fn new(names: &[String]) -> Self {
        Self { names: names.to_vec(), held: String::new(), calls: 0, after_call: false }
    }

    /// Takes more of the reply; gives what is certain.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        if self.names.is_empty() {
            return vec![Piece::Text(text.to_owned())];
        }
        self.held.push_str(text);
        let mut out = Vec::new();
        // Each round takes something off what is held, or ends.
        loop {
            if self.held.starts_with(OPEN) {
                let Some((piece, end)) = self.whole_call() else { break };
                let rest = self.held.split_off(end);
                let taken = std::mem::replace(&mut self.held, rest);
                match piece {
                    Some(call) => {
                        self.calls += 1;
                        self.after_call = true;
                        out.push(call);
                    }
                    None => self.say(taken, &mut out),
                }
                continue;
            }
            let at = self.held.find(OPEN);
            let end = at.unwrap_or_else(|| self.held.len() - begun(&self.held));
            let said = self.held[..end].trim_end().len();
            // White space stays held: it is dropped before a call.
            let kept = self.held.split_off(said);
            let text = std::mem::replace(&mut self.held, kept);
            self.say(text, &mut out);
            match at {
                Some(at) => drop(self.held.drain(..at - said)),
                None => break,
            }
        }
        out
    }

    /// The reply is over; gives the rest.
    pub fn finish(&mut self) -> Vec<Piece> {
        let held = std::mem::take(&mut self.held);
        let mut out = Vec::new();
        // Models sometimes leave the closing tag out.
        match held.strip_prefix(OPEN).map(|body| self.parse(body)) {
            Some(Parsed::Call(call)) => {
                self.calls += 1;
                out.push(call);
            }
            _ => self.say(held, &mut out),
        }
        out
    }

    fn say(&mut self, text: String, out: &mut Vec<Piece>) {
        let text = if self.after_call { text.trim_start().to_owned() } else { text };
        if !text.is_empty() {
            self.after_call = false;
            out.push(Piece::Text(text));
        }
    }

    /// The call that what is held begins with, or nothing if it is none, and where it ends. None while more must come.
    fn whole_call(&self) -> Option<(Option<Piece>, usize)> {
        let body = &self.held[OPEN.len()..];
        for (at, _) in body.match_indices(CLOSE) {
            let end = OPEN.len() + at + CLOSE.len();
            match self.parse(&body[..at]) {
                Parsed::Call(call) => return Some((Some(call), end)),
                Parsed::NoCall => return Some((None, end)),
                Parsed::Unfinished => {}
            }
        }
        None
    }

    fn parse(&self, body: &str) -> Parsed {
        match serde_json::from_str::<Written>(body.trim()) {
            Ok(written) if self.calls < CALLS_MAX && self.names.contains(&written.name) => {
                let arguments = match written.arguments {
                    Value::Null => "{}".to_owned(),
                    // Some models write the arguments as a text, as they are on the wire.
                    Value::String(text) if text.trim_start().starts_with('{') => text,
                    other => spaced(&other),
                };
                Parsed::Call(Piece::Call { name: written.name, arguments })
            }
            Err(error) if error.is_eof() => Parsed::Unfinished,
            _ => Parsed::NoCall,
        }
    }
}

/// Bytes at the end of `text` that may be the beginning of a call.
fn begun(text: &str) -> usize {
    (1..OPEN.len()).rev().find(|n| text.ends_with(&OPEN[..*n])).unwrap_or(0)
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
