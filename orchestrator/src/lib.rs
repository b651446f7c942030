//! The control unit and what it needs to act: decide, perform, check, commit, resume.
//!
//! [`run::Machine`] starts and resumes runs and [`run::RunHandle`] is all that a client holds of one. Inside, the
//! [`driver`] asks [`control`] what to do next and [`perform`] does it.

pub mod account;
pub mod bench;
pub mod check;
pub mod compare;
pub mod config;
pub mod control;
pub mod dependencies;
pub mod domain;
pub mod driver;
pub mod existing;
pub mod export;
pub mod forecast;
pub mod fork;
pub mod guess;
pub mod ledger;
pub mod live;
pub mod meaning;
pub mod notice;
pub mod observe;
pub mod perform;
pub mod place;
pub mod plan;
pub mod price;
pub mod raise;
pub mod replay;
pub mod report;
pub mod revise;
pub mod run;
pub mod sandbox;
pub mod story;
pub mod survey;
pub mod terms;
pub mod tools;
