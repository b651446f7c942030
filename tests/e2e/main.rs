//! The real binary, driven as a person drives it. Models are scripts here; `models.rs`, behind the feature `model-tests`, has real ones.

mod bad_input;
mod bench;
mod budgets;
mod cases;
mod commands;
mod crash;
mod existing;
mod export;
mod home;
mod install;
mod mcp;
#[cfg(feature = "model-tests")]
mod models;
mod no_sandbox;
mod parallel;
mod revise;
mod second;
mod serve;
mod signals;
mod terminal;
mod told;
mod traces;
