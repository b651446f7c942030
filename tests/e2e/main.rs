//! The real binary, driven as a person drives it. Models are scripts here; `models.rs` has a real one.

mod bad_input;
mod cases;
mod commands;
mod crash;
mod home;
