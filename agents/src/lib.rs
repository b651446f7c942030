//! What is said to a model and what is understood from its reply.
//!
//! Nothing here touches the file store, runs a command, or decides what happens next.

pub mod client;
pub mod protocol;
