//! The control unit. `decide` reads the state and says what to do next; `apply` folds what happened into the state.
//!
//! Nothing in this module awaits, sleeps, reads a clock, a file or a random number: the same journal always leads
//! to the same decisions. Performing is [`crate::perform`]'s work, order and durability are [`crate::driver`]'s.

pub mod apply;
pub mod budget;
pub mod decide;
pub mod effect;
pub mod event;
pub mod once_more;
pub mod parallel;
pub mod review;
pub mod state;
pub mod stuck;

pub use decide::{Rules, decide};
pub use effect::{Effect, Purpose};
pub use event::{Event, Settlement, StopReason};
pub use state::RunState;
