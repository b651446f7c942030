//! Choosing the next token.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use toktrie::SimpleVob;

/// Recent tokens that a repetition penalty looks at.
const PENALTY_WINDOW: usize = 128;

/// Tokens whose logits are this far below the largest have a chance of less than one in 10^13: together they are lost
/// in the rounding of the others' sum.
const NEGLIGIBLE: f32 = 30.0;

/// How tokens are chosen. The default is greedy.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f32,
    /// Only the most likely this many; 0 is off.
    pub top_k: usize,
    /// Only the most likely that together reach this probability; 1 is off.
    pub top_p: f32,
    /// Only those at least this likely relative to the most likely; 0 is off.
    pub min_p: f32,
    /// Divides the logits of recent tokens; 1 is off.
    pub repetition_penalty: f32,
    /// Takes from the logit of a token that would go on with a passage of prompt or reply as that went on before, the more
    /// the longer the passage is ("DRY", text-generation-webui, pull request 5677); 0 is off.
    pub dry_multiplier: f32,
    /// The same seed makes the same choices.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            dry_multiplier: 0.0,
            seed: 0,
        }
    }
}

/// Tokens that may come again in their order: a name, a phrase.
const DRY_ALLOWED_TOKENS: usize = 3;
/// What each further token multiplies the penalty with.
const DRY_BASE: f32 = 1.75;
/// Longer passages are penalised no more: by then no token is chosen that has another beside it.
const DRY_TOKENS_MAX: usize = 24;

/// A logit below all that models give; finite, so that it can still be compared where nothing else is allowed.
const BANNED: f32 = -1.0e30;

/// Makes tokens the last choice.
pub(super) fn ban(logits: &mut [f32], ids: &[u32]) {
    for id in ids {
        if let Some(logit) = logits.get_mut(*id as usize) {
            *logit = BANNED;
        }
    }
}

pub(super) struct Sampler {
    sampling: Sampling,
    random: StdRng,
}

impl Sampler {
    pub(super) fn new(sampling: &Sampling) -> Self {
        Self { sampling: sampling.clone(), random: StdRng::seed_from_u64(sampling.seed) }
    }

    /// Chooses among the allowed tokens (all, without a mask). `logits` are used up.
    pub(super) fn choose(
        &mut self,
        logits: &mut [f32],
        prompt: &[u32],
        reply: &[u32],
        allowed: Option<&SimpleVob>,
    ) -> u32 {
        self.penalise(logits, reply);
        self.penalise_passages(logits, prompt, reply);
        let is_allowed = |id: usize| allowed.is_none_or(|mask| id < mask.len() && mask.is_allowed(id as u32));
        if self.sampling.temperature <= 0.0 {
            let best = (0..logits.len())
                .filter(|id| is_allowed(*id))
                .max_by(|a, b| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a)));
            return best.unwrap_or(0) as u32;
        }
        let warm = |logit: f32| logit / self.sampling.temperature;
        let allowed = || logits.iter().enumerate().filter(|(id, _)| is_allowed(*id));
        let most = allowed().map(|(_, l)| warm(*l)).fold(f32::NEG_INFINITY, f32::max);
        // Of a vocabulary of 150,000 hardly any are left to sort.
        let mut candidates: Vec<(u32, f32)> =
            allowed().map(|(id, l)| (id as u32, warm(*l))).filter(|(_, l)| *l >= most - NEGLIGIBLE).collect();
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        self.narrow(&mut candidates);
        let total: f32 = candidates.iter().map(|(_, p)| p).sum();
        let mut at = self.random.random::<f32>() * total;
        for (id, probability) in &candidates {
            at -= probability;
            if at <= 0.0 {
                return *id;
            }
        }
        candidates.first().map_or(0, |(id, _)| *id)
    }

    fn penalise(&self, logits: &mut [f32], recent: &[u32]) {
        let penalty = self.sampling.repetition_penalty;
        if (penalty - 1.0).abs() < f32::EPSILON {
            return;
        }
        let mut window: Vec<_> = recent[recent.len().saturating_sub(PENALTY_WINDOW)..].to_vec();
        window.sort_unstable();
        window.dedup();
        for id in window {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }

    /// Linear in the length of prompt and reply.
    fn penalise_passages(&self, logits: &mut [f32], prompt: &[u32], reply: &[u32]) {
        if self.sampling.dry_multiplier <= 0.0 {
            return;
        }
        let count = prompt.len() + reply.len();
        let at = |n: usize| if n < prompt.len() { prompt[n] } else { reply[n - prompt.len()] };
        let mut longest: BTreeMap<u32, usize> = BTreeMap::new();
        for next in 1..count {
            let alike = (1..=next.min(DRY_TOKENS_MAX)).take_while(|n| at(next - n) == at(count - n)).count();
            if alike >= DRY_ALLOWED_TOKENS {
                let known = longest.entry(at(next)).or_default();
                *known = alike.max(*known);
            }
        }
        for (id, alike) in longest {
            if let Some(logit) = logits.get_mut(id as usize) {
                let further = i32::try_from(alike - DRY_ALLOWED_TOKENS).unwrap_or(i32::MAX);
                *logit -= self.sampling.dry_multiplier * DRY_BASE.powi(further);
            }
        }
    }

    /// Turns sorted logits into probabilities and drops what top-k, top-p and min-p exclude.
    fn narrow(&self, candidates: &mut Vec<(u32, f32)>) {
        let Sampling { top_k, top_p, min_p, .. } = self.sampling;
        if top_k > 0 {
            candidates.truncate(top_k);
        }
        let max = candidates.first().map_or(0.0, |(_, l)| *l);
        candidates.iter_mut().for_each(|(_, l)| *l = (*l - max).exp());
        candidates.retain(|(_, p)| *p >= min_p);
        if top_p < 1.0 {
            let total: f32 = candidates.iter().map(|(_, p)| p).sum();
            let mut so_far = 0.0;
            let keep = candidates.iter().take_while(|(_, p)| {
                let before = so_far;
                so_far += p;
                before < top_p * total
            });
            let keep = keep.count().max(1);
            candidates.truncate(keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(sampling: &Sampling, logits: &[f32]) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling);
        (0..200).map(|_| sampler.choose(&mut logits.to_vec(), &[], &[], None)).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_equals() {
        assert!(choose(&Sampling::default(), &[1.0, 3.0, 3.0]).iter().all(|id| *id == 1));
    }

    #[test]
    fn narrowing_excludes_the_unlikely() {
        let hot = Sampling { temperature: 1.0, ..Sampling::default() };
        let logits = [2.0, 1.9, -3.0, 1.8];
        assert!(choose(&Sampling { top_k: 2, ..hot.clone() }, &logits).iter().all(|id| *id < 2));
        assert!(choose(&Sampling { min_p: 0.5, ..hot.clone() }, &logits).iter().all(|id| *id != 2));
        assert!(choose(&Sampling { top_p: 0.01, ..hot.clone() }, &logits).iter().all(|id| *id == 0));
        let free = choose(&hot, &logits);
        assert!([0, 1, 3].iter().all(|id| free.contains(id)));
        assert_eq!(free, choose(&hot, &logits), "a seed fixes the choices");
        assert_ne!(free, choose(&Sampling { seed: 7, ..hot }, &logits));
    }

    #[test]
    fn what_is_banned_is_chosen_last() {
        let banned = |logits: &[f32], ids: &[u32]| {
            let mut logits = logits.to_vec();
            ban(&mut logits, ids);
            logits
        };
        let hot = Sampling { temperature: 0.1, ..Sampling::default() };
        for sampling in [Sampling::default(), hot] {
            assert!(choose(&sampling, &banned(&[9.0, -20.0], &[0, 7])).iter().all(|id| *id == 1));
            assert!(choose(&sampling, &banned(&[9.0], &[0])).iter().all(|id| *id == 0), "there is no other");
        }
    }

    #[test]
    fn masks_and_penalties_hold() {
        let mut mask = SimpleVob::alloc(3);
        mask.allow_token(2);
        let mut sampler = Sampler::new(&Sampling::default());
        assert_eq!(sampler.choose(&mut [5.0, 4.0, -9.0], &[], &[], Some(&mask)), 2);
        let mut sampler = Sampler::new(&Sampling { repetition_penalty: 2.0, ..Sampling::default() });
        assert_eq!(sampler.choose(&mut [5.0, 4.0], &[], &[0], None), 1);
    }

    #[test]
    fn a_passage_does_not_go_on_as_before() {
        let next = |prompt: &[u32], reply: &[u32]| {
            let sampling = Sampling { dry_multiplier: 0.8, ..Sampling::default() };
            Sampler::new(&sampling).choose(&mut [0.0, 0.0, 0.0, 0.0, 2.0, 1.0], prompt, reply, None)
        };
        assert_eq!(next(&[0, 1, 4, 2, 3], &[0, 1]), 4, "two tokens are a name");
        assert_eq!(next(&[0, 1, 2, 3, 4], &[1, 2, 3]), 4, "three cost less than what is won");
        assert_eq!(next(&[0, 1, 2, 3, 4], &[0, 1, 2, 3]), 5);
        assert_eq!(next(&[0, 1], &[2, 3, 4, 0, 1, 2, 3]), 5, "also from the prompt into the reply");
        assert_eq!(next(&[], &[]), 4);
    }
}
