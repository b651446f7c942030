//! A reply in the making. Between two forward passes it says what is to be computed next, so that several replies can
//! share a pass.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Instant;

use super::draft::Drafter;
use super::grammar::Constraint;
use super::sample::{self, Sampler};
use super::stop::StopFilter;
use super::{Finish, GenerateRequest, Generation, Progress};
use crate::error::Error;
use crate::kv::{Found, SequenceKv, common_prefix};
use crate::tokenizer::Tokenizer;

/// What a pass computes for a reply: tokens behind those that are present, and of how many of the last the logits are wanted.
pub(super) struct Feed {
    pub ids: Vec<u32>,
    pub wanted: usize,
    /// Whether they are of the prompt.
    pub prompt: bool,
}

/// One reply between two passes.
pub(super) struct Reply {
    pub kv: SequenceKv,
    /// The prompt's tokens and those of the reply that were there from the beginning.
    present: Vec<u32>,
    banned_first: Vec<u32>,
    tokens_max: usize,
    constraint: Option<Constraint>,
    sampler: Sampler,
    filter: StopFilter,
    drafter: Drafter,
    /// Tokens in `kv` that are not chosen yet; `rows` begins with the logits before the first of them.
    guesses: VecDeque<u32>,
    rows: VecDeque<Vec<f32>>,
    guessed: usize,
    right: usize,
    /// Since when its present part has been going on.
    since: Instant,
    out: Generation,
}

impl Reply {
    pub(super) fn new(
        request: &GenerateRequest,
        present: Vec<u32>,
        (kv, found): (SequenceKv, Found),
        constraint: Option<Constraint>,
        tokenizer: &Tokenizer,
        (window_tokens, draft_tokens_max): (usize, usize),
    ) -> Self {
        let mut filter = StopFilter::new(&request.stop);
        let mut drafter = Drafter::new(&request.prompt, draft_tokens_max);
        for id in &request.begun {
            drafter.push(*id);
            filter.push(tokenizer.bytes(*id));
        }
        Self {
            kv,
            present,
            banned_first: request.banned_first.clone(),
            tokens_max: request.tokens_max.min(window_tokens - request.prompt.len()),
            constraint,
            sampler: Sampler::new(&request.sampling),
            filter,
            drafter,
            guesses: VecDeque::new(),
            rows: VecDeque::new(),
            guessed: 0,
            right: 0,
            since: Instant::now(),
            out: Generation {
                ids: request.begun.clone(),
                text: String::new(),
                finish: Finish::Length,
                prompt_tokens: request.prompt.len(),
                reused_tokens: found.memory_tokens + found.disk_tokens,
                reused_ram_tokens: found.memory_tokens,
                restored_disk_tokens: found.disk_tokens,
                prefilled_tokens: 0,
                diverged_at: found.diverged_at,
                passes: 0,
                drafted_tokens: 0,
                accepted_tokens: 0,
                prefill_ms: 0,
                decode_ms: 0,
            },
        }
    }

    /// Chooses what can be chosen and says what is to be computed next, of a prompt at most `chunk` tokens; none when the
    /// reply has come to its end.
    pub(super) fn next(
        &mut self,
        tokenizer: &Tokenizer,
        chunk: usize,
        on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<Feed>, Error> {
        let (done, total) = (self.kv.ids.len(), self.present.len());
        if self.is_reading() {
            if on_progress(Progress::Prefill { done, total }).is_break() {
                self.out.finish = Finish::Cancelled;
                return Ok(None);
            }
            let ids = self.present[done..total.min(done + chunk)].to_vec();
            return Ok(Some(Feed { ids, wanted: 1, prompt: true }));
        }
        while self.out.ids.len() < self.tokens_max {
            let chosen = self.choose()?;
            if chosen.iter().any(|id| tokenizer.end_ids.contains(id)) {
                self.out.finish = Finish::Stop;
                break;
            }
            if let Some(finish) = self.say(&chosen, tokenizer, on_progress) {
                self.out.finish = finish;
                break;
            }
            if let Some(feed) = self.settle(&chosen) {
                return Ok(Some(feed));
            }
        }
        if self.out.finish != Finish::StopText {
            let text = std::mem::replace(&mut self.filter, StopFilter::new(&[])).finish();
            if !text.is_empty() {
                self.out.text.push_str(&text);
                // The pieces together are the text; that the caller may want to end it changes nothing any more.
                let _ = on_progress(Progress::Piece { text, tokens: self.out.ids.len() });
            }
        }
        Ok(None)
    }

    /// Tokens of its prompt that are left to compute.
    pub(super) fn left_to_read(&self) -> usize {
        self.present.len().saturating_sub(self.kv.ids.len())
    }

    /// Whether there are any.
    pub(super) fn is_reading(&self) -> bool {
        self.left_to_read() > 0
    }

    /// Copies rows of its prompt that another's sequence has and its own lacks. The last token is left to be computed.
    pub(super) fn take_rows(&mut self, other: &Self) {
        if !self.is_reading() {
            return;
        }
        let common = common_prefix(self.needed(), &other.kv.ids);
        let taken = common.saturating_sub(self.kv.ids.len());
        if taken > 0 {
            self.kv.copy_from(&other.kv, common);
            self.out.reused_tokens += taken;
            self.out.reused_ram_tokens += taken;
        }
    }

    /// Whether another is about to compute rows that it lacks.
    pub(super) fn gets_rows_from(&self, other: &Self) -> bool {
        other.is_reading() && common_prefix(self.needed(), &other.present) > self.kv.ids.len()
    }

    /// Its prompt without the last token, whose logits choose the next.
    fn needed(&self) -> &[u32] {
        &self.present[..self.present.len() - 1]
    }

    /// Nobody wants it any more.
    pub(super) fn cancel(&mut self) {
        self.out.finish = Finish::Cancelled;
    }

    /// Takes in the logits that were asked for.
    pub(super) fn computed(&mut self, feed: &Feed, rows: Vec<Vec<f32>>) {
        self.rows = rows.into();
        if !feed.prompt {
            self.out.passes += 1;
            self.out.drafted_tokens += feed.wanted - 1;
            return;
        }
        self.out.prefilled_tokens += feed.ids.len();
        self.out.prefill_ms += self.lap();
    }

    /// The reply as far as it came, and its sequence.
    pub(super) fn end(mut self) -> (Generation, SequenceKv) {
        // What was guessed and not chosen is no part of the sequence.
        self.kv.truncate(self.kv.ids.len().min(self.out.prompt_tokens + self.out.ids.len()));
        self.out.decode_ms = self.lap();
        (self.out, self.kv)
    }

    fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let ms = (now - self.since).as_millis() as u64;
        // What is lost in rounding is counted with the next.
        self.since += std::time::Duration::from_millis(ms);
        ms
    }

    /// The next token, or those that a grammar leaves no choice about.
    fn choose(&mut self) -> Result<Vec<u32>, Error> {
        let mut logits = self.rows.pop_front().unwrap_or_default();
        let forced = self.constraint.as_mut().map_or_else(Vec::new, Constraint::forced);
        let chosen = if forced.is_empty() {
            let allowed = self.constraint.as_mut().map(Constraint::mask).transpose()?;
            if self.out.prompt_tokens + self.out.ids.len() == self.present.len() {
                sample::ban(&mut logits, &self.banned_first);
            }
            let prompt = &self.present[..self.out.prompt_tokens.min(self.present.len())];
            vec![self.sampler.choose(&mut logits, prompt, &self.out.ids, allowed.as_ref())]
        } else {
            forced.into_iter().take(self.tokens_max - self.out.ids.len()).collect()
        };
        if let Some(constraint) = &mut self.constraint {
            constraint.consume(&chosen)?;
        }
        Ok(chosen)
    }

    /// Appends tokens to the reply; why it ends with them, if it does.
    fn say(
        &mut self,
        chosen: &[u32],
        tokenizer: &Tokenizer,
        on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Option<Finish> {
        let mut ended = false;
        for id in chosen {
            self.out.ids.push(*id);
            self.drafter.push(*id);
            ended |= self.filter.push(tokenizer.bytes(*id));
        }
        let text = self.filter.take();
        if !text.is_empty() {
            self.out.text.push_str(&text);
            if on_progress(Progress::Piece { text, tokens: self.out.ids.len() }).is_break() {
                return Some(Finish::Cancelled);
            }
        }
        let over = self.constraint.as_ref().is_some_and(Constraint::is_over);
        if ended { Some(Finish::StopText) } else { over.then_some(Finish::Stop) }
    }

    /// Compares what was chosen with what was guessed. None where the row after it is there already; else what comes next:
    /// the tokens that were not guessed, and new guesses behind them.
    fn settle(&mut self, chosen: &[u32]) -> Option<Feed> {
        let known = chosen.iter().zip(&self.guesses).take_while(|(chosen, guess)| chosen == guess).count();
        self.guesses.drain(..known);
        self.right += known;
        self.out.accepted_tokens += known;
        if known == chosen.len() {
            // Those between are of tokens that are settled.
            self.rows.drain(..known - 1);
            return None;
        }
        if self.guessed > 0 {
            self.drafter.judged(self.guessed, self.right);
        }
        self.kv.truncate(self.out.prompt_tokens + self.out.ids.len() - (chosen.len() - known));
        let room = self.tokens_max - self.out.ids.len();
        let draft = if room > 1 { self.drafter.draft(room - 1) } else { &[] };
        let ids: Vec<u32> = chosen[known..].iter().chain(draft).copied().collect();
        self.guesses = draft.iter().copied().collect();
        (self.guessed, self.right) = (self.guesses.len(), 0);
        Some(Feed { ids, wanted: self.guessed + 1, prompt: false })
    }
}
