//! A model that gets nowhere: an attempt whose replies say the same again, go round, change nothing, or are none at all is
//! stopped before its turns are used up. Every bound has a name, which the report gives.
//!
//! Repairs have one reply each and bounds of their own; this is about conversations of a whole step.

use std::fmt;

use edvac_agents::client::Finish;
use serde::Serialize;

use crate::control::state::Turn;

/// The same reply with the same answer, in a row, after which the attempt ends.
const REPETITIONS_MAX: usize = 5;
/// Rounds of the same few replies with the same answers after which the attempt ends.
const CYCLES_MAX: usize = 3;
/// Replies that such a round can have.
const CYCLE_TURNS_MAX: usize = 4;
/// Replies in a row that change nothing after which the attempt ends.
const IDLE_TURNS_MAX: usize = 8;
/// The same after which the model is told so.
const IDLE_TURNS_TOLD: usize = 4;
/// Empty replies in a row after which the attempt ends.
const EMPTY_MAX: usize = 3;
/// Replies in a row that a refusal is after which the attempt ends.
const REFUSALS_MAX: usize = 3;
/// Replies in a row that were cut at their limit after which the attempt ends: thoughts without end, or one line again and again.
const CUT_MAX: usize = 3;

/// How a refusal begins, where nothing is done besides.
const REFUSALS: [&str; 7] =
    ["i can't", "i cannot", "i can not", "i'm sorry", "i am sorry", "i'm unable", "i am unable"];

/// What an attempt was stopped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stuck {
    /// The same reply, and the same answer to it.
    Repetition,
    /// The same few replies in turns.
    Cycle,
    /// Replies that change nothing.
    Idle,
    /// Replies in which nothing is written.
    Empty,
    /// Replies that say that it will not be done.
    Refusal,
    /// Replies that were cut at their limit.
    Endless,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repetition => write!(f, "the same reply {REPETITIONS_MAX} times (REPETITIONS_MAX)"),
            Self::Cycle => write!(f, "the same replies in turns {CYCLES_MAX} times (CYCLES_MAX)"),
            Self::Idle => write!(f, "{IDLE_TURNS_MAX} replies that changed nothing (IDLE_TURNS_MAX)"),
            Self::Empty => write!(f, "{EMPTY_MAX} empty replies (EMPTY_MAX)"),
            Self::Refusal => write!(f, "{REFUSALS_MAX} refusals (REFUSALS_MAX)"),
            Self::Endless => write!(f, "{CUT_MAX} replies cut at their limit (CUT_MAX)"),
        }
    }
}

/// What an attempt has to be stopped for, by the turns of its conversation.
pub fn of(turns: &[Turn]) -> Option<Stuck> {
    // What the last reply leads to is not known before it is carried out.
    if turns.last().is_none_or(|turn| !turn.acted) {
        return None;
    }
    let last = |count: usize, is: fn(&Turn) -> bool| in_a_row(turns, is) >= count;
    Some(if last(EMPTY_MAX, is_empty) {
        Stuck::Empty
    } else if last(CUT_MAX, |turn| turn.finish == Finish::Length) {
        Stuck::Endless
    } else if last(REFUSALS_MAX, is_refusal) {
        Stuck::Refusal
    } else if rounds(turns, 1) >= REPETITIONS_MAX {
        Stuck::Repetition
    } else if (2..=CYCLE_TURNS_MAX).any(|length| rounds(turns, length) >= CYCLES_MAX) {
        Stuck::Cycle
    } else if last(IDLE_TURNS_MAX, |turn| !turn.changed) {
        Stuck::Idle
    } else {
        return None;
    })
}

/// How many replies changed nothing, the one that is being carried out included, where the model has to be told so now.
pub fn idle(turns: &[Turn], changes: bool) -> Option<usize> {
    let before = turns.len().saturating_sub(1);
    let count = in_a_row(&turns[..before], |turn| !turn.changed) + 1;
    (!changes && count == IDLE_TURNS_TOLD).then_some(count)
}

fn in_a_row(turns: &[Turn], is: fn(&Turn) -> bool) -> usize {
    turns.iter().rev().take_while(|turn| is(turn)).count()
}

/// How often the last `length` turns came one after the other at the end.
fn rounds(turns: &[Turn], length: usize) -> usize {
    let same = |a: &Turn, b: &Turn| a.reply == b.reply && a.answer == b.answer;
    let Some(from) = turns.len().checked_sub(length) else { return 0 };
    let last = &turns[from..];
    turns.rchunks_exact(length).take_while(|round| round.iter().zip(last).all(|(a, b)| same(a, b))).count()
}

fn is_empty(turn: &Turn) -> bool {
    turn.finish == Finish::Stop && turn.reply.trim().is_empty()
}

fn is_refusal(turn: &Turn) -> bool {
    let said = turn.reply.trim_start().to_lowercase().replace('’', "'");
    let is_said = REFUSALS.iter().any(|begin| said.starts_with(begin)) && !turn.changed && turn.refused;
    is_said || turn.finish == Finish::ContentFilter
}

#[cfg(test)]
mod tests {
    use edvac_agents::client::{ModelReply, Usage};

    use super::*;

    fn turn(reply: &str) -> Turn {
        let reply = ModelReply {
            text: reply.into(),
            finish: Finish::Stop,
            usage: Usage::default(),
            model: "m".into(),
        };
        Turn { acted: true, answer: Some("Again.".into()), changed: true, ..Turn::new(&reply) }
    }

    fn said(replies: &[&str]) -> Vec<Turn> {
        replies.iter().map(|reply| turn(reply)).collect()
    }

    #[test]
    fn the_same_again() {
        assert_eq!(of(&said(&["a"; 4])), None);
        assert_eq!(of(&said(&["b", "a", "a", "a", "a", "a"])), Some(Stuck::Repetition));
        assert_eq!(of(&said(&["a", "a", "b", "a", "a", "a"])), None);
        let mut other = said(&["a"; 5]);
        other[4].answer = Some("Better.".into());
        assert_eq!(of(&other), None, "it led to something else");
        other[4].answer = other[3].answer.clone();
        other[4].acted = false;
        assert_eq!(of(&other), None, "what it leads to is not known yet");
    }

    #[test]
    fn round_and_round() {
        assert_eq!(of(&said(&["a", "b", "a", "b", "a"])), None);
        assert_eq!(of(&said(&["a", "b", "a", "b", "a", "b"])), Some(Stuck::Cycle));
        let round = ["a", "b", "c", "d"];
        assert_eq!(of(&said(&[round, round].concat())), None);
        assert_eq!(of(&said(&[round, round, round].concat())), Some(Stuck::Cycle));
    }

    #[test]
    fn nothing_comes_of_it() {
        let with = |count: usize, change: &dyn Fn(usize, &mut Turn)| -> Vec<Turn> {
            let mut turns: Vec<_> = (0..count).map(|n| turn(&n.to_string())).collect();
            turns.iter_mut().enumerate().for_each(|(n, turn)| change(n, turn));
            turns
        };
        let idle = |_: usize, turn: &mut Turn| turn.changed = false;
        assert_eq!((of(&with(7, &idle)), of(&with(8, &idle))), (None, Some(Stuck::Idle)));
        assert_eq!(of(&with(8, &|n, turn| turn.changed = n == 3)), None);
        let empty = |_: usize, turn: &mut Turn| turn.reply = " \n".into();
        assert_eq!((of(&with(2, &empty)), of(&with(3, &empty))), (None, Some(Stuck::Empty)));
        let cut = |_: usize, turn: &mut Turn| turn.finish = Finish::Length;
        assert_eq!((of(&with(2, &cut)), of(&with(3, &cut))), (None, Some(Stuck::Endless)));
        let refused = |n: usize, turn: &mut Turn| {
            turn.reply = format!("I’m sorry, but I can't do that ({n}).");
            (turn.changed, turn.refused) = (false, true);
        };
        assert_eq!((of(&with(2, &refused)), of(&with(3, &refused))), (None, Some(Stuck::Refusal)));
        assert_eq!(of(&with(3, &|_, turn| turn.finish = Finish::ContentFilter)), Some(Stuck::Refusal));
    }

    #[test]
    fn it_is_told_once_before() {
        let mut turns = said(&["a", "b", "c", "d"]);
        turns.iter_mut().for_each(|turn| turn.changed = false);
        assert_eq!(super::idle(&turns, false), Some(4));
        assert_eq!(super::idle(&turns, true), None);
        assert_eq!((super::idle(&turns[..3], false), super::idle(&[], false)), (None, None));
        turns.push(turn("e"));
        assert_eq!(super::idle(&turns, false), None);
    }
}
