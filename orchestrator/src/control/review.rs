//! The reviewer's part in a step that gives up tests: who is asked, what was said, what was agreed to.

use edvac_agents::roles::reviewer::{self, GivenUp, Opinion};
use serde::{Deserialize, Serialize};

use crate::control::state::{Conversation, Turn};

/// Replies that a reviewer has to give an opinion that can be read.
pub const REVIEW_TURNS_MAX: u32 = 2;

/// The reviews of one attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Review {
    /// How many there were, with the present one.
    pub number: u32,
    /// What the last change gives up and the step may give up, so far as it was not agreed to before.
    pub given_up: Vec<GivenUp>,
    /// What the reviewer was told and says.
    pub talk: Conversation,
    /// What was agreed to.
    pub agreed: Vec<Retired>,
}

/// A test that counted and does not any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Which, and what the program says.
    #[serde(flatten)]
    pub test: GivenUp,
    /// What the reviewer says.
    pub reviewer: Vec<String>,
}

impl Review {
    /// A change was made. One that gives up something is judged, whatever was said of the change before it.
    pub fn begin(&mut self, given_up: &[GivenUp]) {
        self.given_up = given_up.to_vec();
        self.talk = Conversation::default();
        self.number += u32::from(!given_up.is_empty());
    }

    /// A reply of the reviewer. One that cannot be read is answered.
    pub fn replied(&mut self, mut turn: Turn) {
        turn.answer = reviewer::understand(&turn.reply, turn.finish).err();
        self.talk.turns.push(turn);
    }

    /// Whether the reviewer has to be asked before the change is checked.
    pub fn is_open(&self) -> bool {
        !self.given_up.is_empty() && self.opinion().is_none()
    }

    /// What the reviewer thinks of the change; none where it was asked nothing or has said nothing yet. One that cannot be
    /// understood has not agreed.
    pub fn opinion(&self) -> Option<Opinion> {
        let last = self.talk.turns.last()?;
        match reviewer::understand(&last.reply, last.finish) {
            Ok(opinion) => Some(opinion),
            Err(_) if (self.talk.turns.len() as u32) < REVIEW_TURNS_MAX => None,
            Err(_) => Some(Opinion {
                accepted: false,
                reasons: vec!["it gave no verdict that can be read".to_owned()],
            }),
        }
    }

    /// The change was checked in the light of an opinion.
    pub fn settle(&mut self, opinion: Option<&Opinion>) {
        let given_up = std::mem::take(&mut self.given_up);
        if let Some(Opinion { accepted: true, reasons }) = opinion {
            self.agreed.extend(given_up.into_iter().map(|test| Retired { test, reviewer: reasons.clone() }));
        }
    }

    /// Whether it was agreed that this test may go.
    pub fn has_agreed(&self, path: &str, test: &str) -> bool {
        self.agreed.iter().any(|r| r.test.path == path && r.test.test == test)
    }
}

#[cfg(test)]
mod tests {
    use edvac_agents::client::{Finish, ModelReply, Usage};

    use super::*;

    fn says(review: &mut Review, text: &str) {
        let usage = Usage::default();
        let reply = ModelReply { text: text.into(), finish: Finish::Stop, usage, model: "m".into() };
        review.replied(Turn::new(&reply));
    }

    #[test]
    fn what_is_agreed_to_is_not_asked_again() {
        let test = GivenUp {
            path: "test_a.py".into(),
            test: "test_r1".into(),
            said: "test_r1 of test_a.py was removed".into(),
            reason: "R1 is different now.".into(),
        };
        let mut review = Review::default();
        review.begin(&[]);
        assert!(!review.is_open() && review.number == 0, "nothing is given up");

        review.begin(std::slice::from_ref(&test));
        assert!(review.is_open());
        says(&mut review, "Fine with me.");
        assert!(review.is_open() && review.talk.turns[0].answer.is_some(), "it is told what is wanted");
        says(&mut review, "Fine!");
        assert!(!review.opinion().unwrap().accepted, "and has not agreed if it cannot say so");
        let opinion = review.opinion();
        review.settle(opinion.as_ref());
        assert!(!review.has_agreed("test_a.py", "test_r1"));

        review.begin(&[test]);
        says(&mut review, "REASON: so it is.\nVERDICT: accept\n");
        let opinion = review.opinion();
        review.settle(opinion.as_ref());
        assert!(review.has_agreed("test_a.py", "test_r1") && !review.has_agreed("test_b.py", "test_r1"));
        assert!(!review.is_open() && review.number == 2);
    }
}
