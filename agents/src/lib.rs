//! What is said to a model and what is understood from its reply.
//!
//! Roles turn a view of the machine into fragments of a prompt and a reply into actions; the protocol fixes how
//! replies are written; [`client::ModelClient`] is the port through which a prompt leaves. Nothing here touches
//! the file store, runs a command, or decides what happens next.

pub mod client;
pub mod prompt;
pub mod protocol;
pub mod roles;
pub mod templates;
#[cfg(test)]
mod testing;
