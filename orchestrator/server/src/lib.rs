//! The server: OpenAI's API over a model of this machine.
//!
//! [`Server::bind`] takes a model and an address, [`Server::run`] answers until it is told to stop. Every request goes
//! through [`guard`] before anything of its body is read; `/v1` is in [`v1`] alone.

mod app;
mod guard;
mod listen;
mod metrics;
mod queue;
mod refusal;
mod v1;

pub use app::{App, BODY_BYTES_MAX};
pub use listen::{Options, STOP_TIME_MAX, ServeError, Server, TOKEN_BYTES_MIN};
pub use queue::WAITING_MAX;
pub use v1::embeddings::{Embedded, Embeddings};

#[cfg(test)]
mod testing;
