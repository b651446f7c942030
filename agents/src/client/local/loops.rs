//! Replies that go round in circles, as small models' do: they are taken back to where the circle closed for the first
//! time, and go on from there without the token that closed it.
//!
//! Cutting such a reply throws away all that came before the circle, and asked again the model often runs into the same
//! one. Going back costs nothing: what was computed of the reply up to there is in the KV store.

use std::ops::ControlFlow;

use edvac_runtime::tokenizer::Tokenizer;
use edvac_runtime::{Error, Finish, GenerateRequest, Generation, Progress, SharedEngine};

/// How often a passage must follow on itself before a reply counts as one that will not end.
const REPEATS: usize = 8;
/// Bytes all repeats together have at least: short ones are zeros of a table or lines of a picture.
const LOOP_BYTES_MIN: usize = 320;
/// Longest passage that is looked for.
const PERIOD_BYTES_MAX: usize = 400;
/// Lines of a round that counts, at least.
const COUNTING_LINES_MIN: usize = 3;
/// Rounds in which only the numbers differ until it counts as a circle.
const COUNTING_REPEATS: usize = 6;
/// Of these, rounds that stay.
const COUNTING_STAYS: usize = 2;
/// Shorter sentences may come again: "He waited."
const SENTENCE_BYTES_MIN: usize = 32;
/// What ends a sentence.
const SENTENCE_ENDS: [char; 4] = ['.', '!', '?', '\n'];
/// Pieces between two looks.
const PIECES_BETWEEN: usize = 32;

/// What is seen while a reply is made.
pub(super) enum Seen {
    /// As the engine tells it.
    Progress(Progress),
    /// The reply's end is taken back: so many tokens of it stay.
    Withdrawn {
        /// Tokens that stay.
        tokens: usize,
    },
}

/// Which circles are looked for, and how often a reply is taken back.
#[derive(Clone)]
pub(super) struct Rewinding {
    pub rewinds_max: u32,
    /// If given, a sentence that was there before, in this text or in the reply, is one, too. With the last rewind that is
    /// let be.
    pub sentences_once: Option<String>,
}

/// Makes a reply. One that goes round in circles is taken back at most `rewinds_max` times, then it is cut: its finish is
/// [`Finish::Length`], which is what it would have come to.
pub(super) fn generate(
    engine: &SharedEngine,
    tokenizer: &Tokenizer,
    mut request: GenerateRequest,
    rewinding: Rewinding,
    on_seen: &mut dyn FnMut(Seen) -> ControlFlow<()>,
) -> Result<Generation, Error> {
    let Rewinding { rewinds_max, sentences_once } = rewinding;
    let mut watch = Watch::of(sentences_once.clone().filter(|_| rewinds_max > 0));
    let mut whole = engine.generate(&request, &mut |p| watched(p, &mut watch, on_seen))?;
    for rewind in 1..=rewinds_max {
        let Some(circle) = watch.found else { break };
        let stays = tokens_within(&whole.ids, circle.stays_bytes, tokenizer);
        let Some(closing) = whole.ids.get(stays).copied() else { break };
        if on_seen(Seen::Withdrawn { tokens: stays }).is_break() {
            return Ok(whole);
        }
        if stays != request.begun.len() {
            request.begun = whole.ids[..stays].to_vec();
            request.banned_first.clear();
        }
        request.banned_first.push(closing);
        // The engine says the text that stays once more, as the first piece.
        watch = Watch::of(sentences_once.clone().filter(|_| rewind < rewinds_max));
        let next = engine.generate(&request, &mut |p| watched(p, &mut watch, on_seen))?;
        whole = Generation {
            ids: next.ids,
            text: next.text,
            finish: next.finish,
            passes: whole.passes + next.passes,
            drafted_tokens: whole.drafted_tokens + next.drafted_tokens,
            accepted_tokens: whole.accepted_tokens + next.accepted_tokens,
            decode_ms: whole.decode_ms + next.prefill_ms + next.decode_ms,
            ..whole
        };
    }
    if watch.found.is_some() {
        whole.finish = Finish::Length;
    }
    Ok(whole)
}

fn watched(
    progress: Progress,
    watch: &mut Watch,
    on_seen: &mut dyn FnMut(Seen) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let circles = matches!(&progress, Progress::Piece { text, .. } if watch.sees_a_circle(text));
    let gone = on_seen(Seen::Progress(progress)).is_break();
    if gone {
        // Nobody waits for another try.
        watch.found = None;
    }
    if gone || circles { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// How many of the tokens lie wholly within the first `bytes` bytes of their text.
fn tokens_within(ids: &[u32], bytes: usize, tokenizer: &Tokenizer) -> usize {
    let mut so_far = 0;
    ids.iter()
        .take_while(|id| {
            so_far += tokenizer.bytes(**id).len();
            so_far <= bytes
        })
        .count()
}

/// A passage that follows on itself until the text's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Circle {
    /// Bytes of the text up to the end of its first round.
    stays_bytes: usize,
}

/// Notices a text that says the same over and over.
#[derive(Default)]
struct Watch {
    text: Vec<u8>,
    pieces: usize,
    /// Where no sentence may be from, nor come again.
    sentences_once: Option<String>,
    found: Option<Circle>,
}

impl Watch {
    fn of(sentences_once: Option<String>) -> Self {
        Self { sentences_once, ..Self::default() }
    }

    fn sees_a_circle(&mut self, piece: &str) -> bool {
        self.text.extend_from_slice(piece.as_bytes());
        self.pieces += 1;
        if self.pieces.is_multiple_of(PIECES_BETWEEN) {
            self.found = circle_at_end(&self.text);
        }
        // The first piece after a rewind is all that stays.
        if let Some(earlier) = &self.sentences_once
            && self.pieces > 1
            && piece.contains(SENTENCE_ENDS)
        {
            self.found = self.found.or_else(|| sentence_again(earlier.as_bytes(), &self.text));
        }
        self.found.is_some()
    }
}

/// Whether the last whole sentence was there before, or stands in an earlier text.
fn sentence_again(earlier: &[u8], text: &[u8]) -> Option<Circle> {
    let is_end = |byte: &u8| b".!?\n".contains(byte);
    let end = text.iter().rposition(is_end)? + 1;
    let begin = text[..end - 1].iter().rposition(is_end).map_or(0, |at| at + 1);
    let sentence = text[begin..end].trim_ascii();
    let is_in = |text: &[u8]| text.windows(sentence.len()).any(|part| part == sentence);
    let before = sentence.len() >= SENTENCE_BYTES_MIN && (is_in(&text[..begin]) || is_in(earlier));
    before.then_some(Circle { stays_bytes: begin })
}

fn circle_at_end(text: &[u8]) -> Option<Circle> {
    let exact = rounds_at_end(text, 0, REPEATS, LOOP_BYTES_MIN).map(|(begin, period)| begin + period);
    exact.or_else(|| counting_circle(text)).map(|end| Circle { stays_bytes: end_of_line(text, end) })
}

/// A circle that counts: test R4, R5, R6, ..., each like the one before but for its number. Rows of a table do that too,
/// so a round has several lines, and more than one round stays.
fn counting_circle(text: &[u8]) -> Option<usize> {
    // Each number is one digit; with where it ends in the text.
    let mut masked: Vec<(u8, usize)> = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        match masked.last_mut() {
            Some(last) if byte.is_ascii_digit() && last.0 == b'0' => last.1 = at + 1,
            _ => masked.push((if byte.is_ascii_digit() { b'0' } else { *byte }, at + 1)),
        }
    }
    let bytes: Vec<u8> = masked.iter().map(|(byte, _)| *byte).collect();
    let (begin, period) = rounds_at_end(&bytes, COUNTING_LINES_MIN, COUNTING_REPEATS, LOOP_BYTES_MIN)?;
    masked.get(begin + COUNTING_STAYS * period - 1).map(|(_, end)| *end)
}

/// Where the passage that the text ends with again and again begins, and its length; none where it has fewer than
/// `lines_min` lines.
fn rounds_at_end(text: &[u8], lines_min: usize, repeats: usize, bytes_min: usize) -> Option<(usize, usize)> {
    // The shortest: of a passage of one line, three rounds are a passage of three lines.
    let (period, from) = (1..=PERIOD_BYTES_MAX).find_map(|period| {
        let bytes = (period * repeats).max(bytes_min);
        let from = text.len().checked_sub(bytes)?;
        let tail = &text[from..];
        (tail[period..] == tail[..bytes - period]).then_some((period, from))
    })?;
    let lines = text[text.len() - period..].split(|byte| *byte == b'\n').count() - 1;
    let before = (0..from).rev().take_while(|&at| text[at] == text[at + period]).count();
    (lines >= lines_min).then_some((from - before, period))
}

/// A round of several lines ends with a line: what is not to come again is then the next line's beginning, not the end
/// of this one. `end` is where it would end else.
fn end_of_line(text: &[u8], end: usize) -> usize {
    if text[..end].last() == Some(&b'\n') {
        return end;
    }
    let rest = &text[end..text.len().min(end + PERIOD_BYTES_MAX)];
    end + rest.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_noticed_and_a_table_is_not() {
        let passage = "```json\n{\n  \"status\": \"done\"\n}\n```\n\n";
        let circles = "Some text first.\n".to_owned() + &passage.repeat(12);
        assert!(circle_at_end(circles.as_bytes()).is_some());
        let table: String = (0..80).map(|n| format!("    [0, {n}, 0, 0],\n")).collect();
        assert_eq!(circle_at_end(table.as_bytes()), None);
        assert_eq!(circle_at_end("0, ".repeat(60).as_bytes()), None, "a row of zeros");
        assert_eq!(circle_at_end(b""), None);
    }

    #[test]
    fn a_circle_that_counts_is_noticed() {
        let round = |n: usize| {
            format!(
                "test(\"R{n}: one hour is 3600\", () => {{\n  assert.equal(seconds(\"1h\"), 3600);\n}});\n\n"
            )
        };
        let text: String = (1..20).map(round).collect();
        let circle = circle_at_end(text.as_bytes()).unwrap();
        assert_eq!(text[..circle.stays_bytes].trim_end(), (round(1) + &round(2)).trim_end());
        let few: String = (1..6).map(round).collect();
        assert_eq!(circle_at_end(few.as_bytes()), None);
    }

    #[test]
    fn a_sentence_that_comes_again_is_noticed() {
        let said = "He went down to the beach and looked at the sea. He waited. ";
        let again = |more: &str| {
            sentence_again(b"Then the moon rose over a quiet sea.", format!("{said}{more}").as_bytes())
        };
        assert_eq!(again("The sea was calm and had nothing to say."), None);
        assert!(again("Then the moon rose over a quiet sea.").is_some(), "it stands in the earlier text");
        assert_eq!(again("He waited."), None, "short ones may come again");
        assert_eq!(again("He went down to the beach and looked at the"), None, "it is not whole");
        let found = again("Then night fell. He went down to the beach and looked at the sea.");
        assert_eq!(found, Some(Circle { stays_bytes: said.len() + "Then night fell.".len() }));
    }

    #[test]
    fn its_first_round_stays() {
        let stays = |text: &str| {
            let circle = circle_at_end(text.as_bytes()).unwrap();
            text[..circle.stays_bytes].to_owned()
        };
        assert_eq!(stays(&("f(\"X".to_owned() + &"IV".repeat(200))), "f(\"XIV");
        let line = "        self.assertEqual(f(1), 2)\n";
        let begin = "def test(self):\n        a = 1\n";
        assert_eq!(stays(&(begin.to_owned() + &line.repeat(12))), begin.to_owned() + line);
        let half = &line[..20];
        assert_eq!(stays(&(begin.to_owned() + &line.repeat(12) + half)), begin.to_owned() + line);
    }
}
