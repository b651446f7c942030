//! What the machine holds: the prompt program, the versioned file store, the journal, and the index over them.
//!
//! This crate never opens a socket, never starts a process and never calls a model. Everything that a run must
//! survive a crash with passes through here; what a token or an embedding is, it is told through the traits
//! [`context::TokenCounter`] and [`index::Embedder`].

pub mod context;
pub mod fault;
pub mod ids;
pub mod index;
pub mod journal;
pub mod listing;
pub mod program;
pub mod slug;
pub mod store;
pub mod verdict;
