//! Guessing the next tokens from those before: text that was seen is often written again, above all by a worker that
//! rewrites a file. Guesses are computed together with the token before them and kept only where the model chooses
//! the same, so a reply has the same tokens with and without them (Saxena, "Prompt Lookup Decoding", 2023; the check
//! is that of Leviathan et al. 2023 for a drafter that is always certain).

use std::collections::HashMap;

/// Tokens that must agree before the next ones are guessed.
const GRAM: usize = 3;
/// Places of a gram that are remembered, the latest.
const PLACES_MAX: usize = 8;
/// Tokens before a place that are compared to find the place most like the present one.
const CONTEXT_MAX: usize = 32;
/// Guesses to begin with.
const LENGTH_FIRST: usize = 3;
/// Tokens written without a guess after guesses that were all wrong, at most.
const PAUSE_MAX: usize = 32;

/// Guesses tokens, as many as paid off lately.
pub(super) struct Drafter {
    ids: Vec<u32>,
    /// Positions behind a gram.
    places: HashMap<[u32; GRAM], Vec<usize>>,
    length_max: usize,
    length: usize,
    /// Tokens still to be written without a guess.
    waiting: usize,
    /// How many it will be after the next miss.
    pause: usize,
}

impl Drafter {
    /// A drafter over a prompt that makes at most `length_max` guesses at once; 0 makes none.
    pub(super) fn new(prompt: &[u32], length_max: usize) -> Self {
        let mut drafter = Self {
            ids: Vec::new(),
            places: HashMap::new(),
            length_max,
            length: LENGTH_FIRST.min(length_max),
            waiting: 0,
            pause: 1,
        };
        if length_max > 0 {
            prompt.iter().for_each(|id| drafter.learn(*id));
        }
        drafter
    }

    /// Takes note of a token that was written.
    pub(super) fn push(&mut self, id: u32) {
        if self.length_max > 0 {
            self.waiting = self.waiting.saturating_sub(1);
            self.learn(id);
        }
    }

    fn learn(&mut self, id: u32) {
        self.ids.push(id);
        if let Some(gram) = self.ids.last_chunk::<GRAM>() {
            let places = self.places.entry(*gram).or_default();
            if places.len() == PLACES_MAX {
                places.remove(0);
            }
            places.push(self.ids.len());
        }
    }

    /// What may come next, at most `most` tokens.
    pub(super) fn draft(&self, most: usize) -> &[u32] {
        let length = self.length.min(most);
        if length == 0 || self.waiting > 0 {
            return &[];
        }
        let here = self.ids.len();
        let places = self.ids.last_chunk::<GRAM>().and_then(|gram| self.places.get(gram));
        let earlier = places.into_iter().flatten().filter(|place| **place < here);
        // Of places that are equally like this one, the latest.
        let best = earlier.max_by_key(|place| (self.alike(**place), **place));
        best.map_or(&[], |place| &self.ids[*place..here.min(place + length)])
    }

    /// Tokens before a place that agree with those before the end.
    fn alike(&self, place: usize) -> usize {
        let (before, end) = (self.ids[..place].iter().rev(), self.ids.iter().rev());
        before.zip(end).take(CONTEXT_MAX).take_while(|(a, b)| a == b).count()
    }

    /// Takes note of how many of some guesses were right.
    pub(super) fn judged(&mut self, guesses: usize, right: usize) {
        if right == guesses {
            self.length = (self.length * 2).clamp(1, self.length_max);
            self.pause = 1;
        } else if right > 0 {
            self.length = right.clamp(1, self.length_max);
            self.pause = 1;
        } else {
            self.length = LENGTH_FIRST.min(self.length_max);
            self.waiting = self.pause;
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_the_same_tokens_is_guessed() {
        let drafter = Drafter::new(&[1, 2, 3, 4, 5, 9, 1, 2, 3], 7);
        assert_eq!(drafter.draft(10), [4, 5, 9]);
        assert_eq!(drafter.draft(1), [4]);
        assert!(Drafter::new(&[1, 2, 3, 4, 1, 2], 7).draft(10).is_empty(), "a shorter likeness is none");
        assert!(Drafter::new(&[1, 2, 3, 4, 1, 2, 3], 0).draft(10).is_empty(), "off");
    }

    #[test]
    fn the_place_most_like_this_one_is_taken() {
        let drafter = Drafter::new(&[8, 1, 2, 3, 40, 7, 1, 2, 3, 50, 8, 1, 2, 3], 7);
        assert_eq!(drafter.draft(1), [40]);
    }

    #[test]
    fn guesses_grow_with_success_and_rest_after_failure() {
        let mut drafter = Drafter::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3], 7);
        drafter.judged(3, 3);
        assert_eq!(drafter.draft(10).len(), 6);
        drafter.judged(6, 6);
        assert_eq!(drafter.draft(10).len(), 7);
        drafter.judged(7, 2);
        assert_eq!(drafter.draft(10).len(), 2);
        for pause in [1, 2, 4, 8, 16, 32, 32] {
            drafter.judged(1, 0);
            for _ in 0..pause {
                assert!(drafter.draft(10).is_empty());
                drafter.push(0);
            }
            [1, 2, 3].into_iter().for_each(|id| drafter.learn(id));
            assert!(!drafter.draft(10).is_empty(), "{pause}");
        }
    }
}
