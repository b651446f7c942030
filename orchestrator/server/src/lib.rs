//! The server: OpenAI's API over a model of this machine, and the dashboard over its runs.
//!
//! [`Server::bind`] takes a model, a desk and an address, [`Server::run`] answers until it is told to stop. Every request goes
//! through [`guard`] before anything of its body is read; `/v1` is in [`v1`] alone, pages and `/api` in [`dashboard`].

mod access;
mod app;
mod dashboard;
mod guard;
mod listen;
pub mod mcp;
mod metrics;
mod queue;
mod refusal;
mod v1;

pub use access::token_in;
pub use app::BODY_BYTES_MAX;
pub use dashboard::watched::{LogLine, Watched};
pub use dashboard::{Desk, Opener, view};
pub use listen::{Options, STOP_TIME_MAX, ServeError, Served, Server, TOKEN_BYTES_MIN};
pub use queue::WAITING_MAX;
pub use v1::embeddings::{Embedded, Embeddings};

/// The API of the dashboard as OpenAPI 3.1, in JSON; `port` is that of the server, after which its cookie is called.
pub fn openapi(port: u16) -> Result<String, serde_json::Error> {
    dashboard::description(&access::cookie_name(port)).to_pretty_json()
}

#[cfg(test)]
mod testing;
