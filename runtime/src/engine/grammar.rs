//! Grammars that bind a reply, by llguidance.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use toktrie::{InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::error::Error;
use crate::tokenizer::Tokenizer;

/// The model's vocabulary, prepared for grammars.
pub(super) struct Grammars {
    factory: ParserFactory,
}

struct Vocabulary {
    trie: TokTrie,
    tokenizer: Arc<tokenizers::Tokenizer>,
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, s: &[u8]) -> Vec<TokenId> {
        // As the model would read it: other tokens for the same text are ones that it has never seen there.
        self.trie.tokenize_with_greedy_fallback(s, |text| {
            let found = self.tokenizer.encode_fast(text, false);
            found.map_or_else(|_| self.trie.greedy_tokenize(text.as_bytes()), |e| e.get_ids().to_vec())
        })
    }
}

fn bad(error: impl std::fmt::Display) -> Error {
    Error::Grammar(error.to_string())
}

impl Grammars {
    pub(super) fn new(tokenizer: &Tokenizer) -> Result<Self, Error> {
        let words: Vec<Vec<u8>> = (0..tokenizer.len() as u32)
            .map(|id| {
                let mut word = Vec::new();
                if tokenizer.is_special(id) {
                    word.push(TokTrie::SPECIAL_TOKEN_MARKER);
                }
                word.extend_from_slice(tokenizer.bytes(id));
                word
            })
            .collect();
        let end = *tokenizer.end_ids.first().ok_or_else(|| Error::Missing("end-of-text token".to_owned()))?;
        let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, end), &words);
        let env: TokEnv = Arc::new(Vocabulary { trie, tokenizer: tokenizer.plain() });
        let capabilities = InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() };
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&env, capabilities, &slices).map_err(bad)?;
        factory.quiet();
        Ok(Self { factory })
    }

    pub(super) fn constraint(&self, grammar: &str) -> Result<Constraint, Error> {
        let parser =
            self.factory.create_parser(TopLevelGrammar::from_lark(grammar.to_owned())).map_err(bad)?;
        Ok(Constraint { matcher: Matcher::new(Ok(parser)) })
    }
}

/// A grammar with the part of a reply it has seen.
pub(super) struct Constraint {
    matcher: Matcher,
}

impl Constraint {
    /// Tokens that must come next, if there is only one way on.
    pub(super) fn forced(&mut self) -> Vec<u32> {
        self.matcher.compute_ff_tokens()
    }

    /// Tokens that may come next; an end-of-text token where the reply may end.
    pub(super) fn mask(&mut self) -> Result<SimpleVob, Error> {
        self.matcher.compute_mask_or_eos().map_err(bad)
    }

    pub(super) fn consume(&mut self, ids: &[u32]) -> Result<(), Error> {
        self.matcher.consume_tokens(ids).map_err(bad)
    }

    /// Whether nothing can follow.
    pub(super) fn is_over(&self) -> bool {
        self.matcher.is_stopped()
    }
}
