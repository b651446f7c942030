//! Fitting fragments into a window, and saying what was left out.

use std::collections::BTreeMap;

use super::{Fitted, Fragment, FragmentKind, LeftOut, TokenCounter};

/// Tokens kept free for what a chat template adds around the messages.
const TEMPLATE_MARGIN_TOKENS: usize = 64;
/// A file is not cut to fewer lines than this; it is left out instead.
const FILE_LINES_MIN: usize = 10;
/// The same for what the project says to those who work on it: every line of it counts.
const GUIDE_LINES_MIN: usize = 3;

/// Window, reply reserve, and caps by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextBudget {
    /// Prompt and reply together.
    pub window_tokens: usize,
    /// Kept free for the reply.
    pub reply_tokens: usize,
    /// Most tokens all fragments of a kind may have together; kinds without an entry have no cap of their own.
    pub caps: BTreeMap<FragmentKind, usize>,
}

/// What cannot be left out is already too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prompt needs at least {tokens} tokens, {available} are available")]
pub struct Overflow {
    /// Tokens of the fragments that are never dropped.
    pub tokens: usize,
    /// The window less reply reserve and margin.
    pub available: usize,
}

/// The order in which optional kinds get what room there is, most useful first.
const OPTIONAL: [FragmentKind; 6] = [
    FragmentKind::Guide,
    FragmentKind::Tool,
    FragmentKind::File,
    FragmentKind::Program,
    FragmentKind::Listing,
    FragmentKind::Retrieved,
];

impl ContextBudget {
    /// Tokens a prompt may have.
    pub fn available(&self) -> usize {
        self.window_tokens.saturating_sub(self.reply_tokens + TEMPLATE_MARGIN_TOKENS)
    }

    /// Takes what fits. Optional kinds are filled in the order of their use, earlier fragments of a kind before later
    /// ones; a file or a guide that does not fit is cut to its first lines if enough of them do. The result is in prompt order,
    /// stable within a kind, and everything that is not in it is named with the reason.
    pub fn fit(&self, fragments: Vec<Fragment>, counter: &dyn TokenCounter) -> Result<Fitted, Overflow> {
        let available = self.available();
        let (optional, mut taken): (Vec<_>, Vec<_>) =
            fragments.into_iter().partition(|f| OPTIONAL.contains(&f.kind));
        let mut room = {
            let tokens = taken.iter().map(|f| f.tokens).sum();
            available.checked_sub(tokens).ok_or(Overflow { tokens, available })?
        };
        let mut left_out = Vec::new();
        for kind in OPTIONAL {
            let cap = self.caps.get(&kind).copied().unwrap_or(usize::MAX);
            let mut used = 0;
            for fragment in optional.iter().filter(|f| f.kind == kind) {
                let free = room.min(cap - used);
                let why =
                    if room <= cap - used { "the window is full" } else { "the cap of its kind is reached" };
                if fragment.tokens <= free {
                    used += fragment.tokens;
                    room -= fragment.tokens;
                    taken.push(fragment.clone());
                    continue;
                }
                if let Some(part) = cut(fragment, free, counter) {
                    used += part.tokens;
                    room -= part.tokens;
                    left_out.push(omission(fragment, fragment.tokens.saturating_sub(part.tokens), why));
                    taken.push(part);
                } else {
                    left_out.push(omission(fragment, fragment.tokens, why));
                }
            }
        }
        taken.sort_by_key(|f| f.kind);
        Ok(Fitted { fragments: taken, left_out, given_tokens: 0 })
    }
}

fn omission(fragment: &Fragment, tokens: usize, why: &str) -> LeftOut {
    LeftOut { kind: fragment.kind, source: fragment.source.clone(), tokens, why: why.to_owned() }
}

/// The first lines of a file fragment that fit into `free` tokens. The last line of the text is kept too when it
/// closes a fence, so that what is cut still reads as a block.
fn cut(fragment: &Fragment, free: usize, counter: &dyn TokenCounter) -> Option<Fragment> {
    let lines_min = match fragment.kind {
        FragmentKind::File => FILE_LINES_MIN,
        FragmentKind::Guide => GUIDE_LINES_MIN,
        _ => return None,
    };
    let lines: Vec<_> = fragment.text.lines().collect();
    let closing = lines.last().copied().filter(|l| l.starts_with("```"));
    let with = |count: usize| {
        let mut text = lines[..count].join("\n");
        text.push_str("\n(cut here; ask for more lines with @@ read)\n");
        if let Some(fence) = closing {
            text.push_str(fence);
            text.push('\n');
        }
        text
    };
    let (mut low, mut high) = (0, lines.len().saturating_sub(1));
    while low < high {
        let middle = (low + high).div_ceil(2);
        if counter.count(&with(middle)) <= free { low = middle } else { high = middle - 1 }
    }
    if low < lines_min {
        return None;
    }
    let text = with(low);
    let tokens = counter.count(&text);
    let source = format!("{}, first {low} of {} lines", fragment.source, lines.len());
    (tokens <= free).then(|| Fragment { source, text, tokens, ..fragment.clone() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Words;
    impl TokenCounter for Words {
        fn count(&self, text: &str) -> usize {
            text.split_whitespace().count()
        }
    }

    const KINDS: [FragmentKind; 11] = [
        FragmentKind::Tool,
        FragmentKind::Guide,
        FragmentKind::System,
        FragmentKind::Domain,
        FragmentKind::Task,
        FragmentKind::Program,
        FragmentKind::Listing,
        FragmentKind::File,
        FragmentKind::Retrieved,
        FragmentKind::Summary,
        FragmentKind::Step,
    ];

    fn fragment(kind: FragmentKind, source: String, lines: usize) -> Fragment {
        Fragment::new(kind, source, "test", "one two three\n".repeat(lines), &Words)
    }

    fn budget(window_tokens: usize) -> ContextBudget {
        ContextBudget {
            window_tokens: window_tokens + TEMPLATE_MARGIN_TOKENS,
            reply_tokens: 0,
            caps: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_needed_is_never_dropped() {
        let parts = vec![fragment(FragmentKind::Step, "s".into(), 10)];
        assert_eq!(budget(20).fit(parts, &Words), Err(Overflow { tokens: 30, available: 20 }));
    }

    #[test]
    fn a_long_file_is_cut_and_says_so() {
        let parts = vec![fragment(FragmentKind::File, "a.py".into(), 100)];
        let fitted = budget(100).fit(parts, &Words).unwrap();
        assert!(fitted.fragments[0].source.starts_with("a.py, first "), "{:?}", fitted.fragments[0].source);
        assert!(fitted.fragments[0].tokens <= 100);
        assert_eq!(fitted.left_out.len(), 1);
    }

    #[test]
    fn a_cap_bounds_its_kind_alone() {
        let mut budget = budget(1000);
        budget.caps.insert(FragmentKind::Retrieved, 30);
        let parts = (0..4).map(|n| fragment(FragmentKind::Retrieved, n.to_string(), 5)).collect();
        let fitted = budget.fit(parts, &Words).unwrap();
        assert_eq!(fitted.fragments.len(), 2);
        assert!(fitted.left_out.iter().all(|l| l.why == "the cap of its kind is reached"));
    }

    proptest! {
        #[test]
        fn never_over_never_silent(spec in prop::collection::vec((0usize..10, 0usize..40), 0..20), window in 0usize..600) {
            let parts: Vec<_> = spec.iter().enumerate()
                .map(|(n, (kind, lines))| fragment(KINDS[*kind], format!("f{n}"), *lines)).collect();
            let budget = budget(window);
            match budget.fit(parts.clone(), &Words) {
                Err(overflow) => prop_assert!(overflow.tokens > overflow.available),
                Ok(fitted) => {
                    prop_assert!(fitted.fragments.iter().map(|f| f.tokens).sum::<usize>() <= budget.available());
                    prop_assert!(fitted.fragments.is_sorted_by_key(|f| f.kind));
                    for part in &parts {
                        let whole = fitted.fragments.contains(part);
                        prop_assert!(whole != fitted.left_out.iter().any(|l| l.source == part.source));
                    }
                }
            }
        }
    }
}
