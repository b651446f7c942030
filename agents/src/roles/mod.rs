//! The roles a model is given: what each is told, and what is understood from its reply.
//!
//! A role is a plain view of the machine turned into fragments, and a function from a reply to a value. The words
//! are templates; here is only which of them are said when.

pub mod coder;
pub mod feedback;
pub mod guide;
pub mod outliner;
pub mod packages;
pub mod planner;
pub mod repairer;
pub mod reviewer;
pub mod summariser;
pub mod tester;
pub mod tools;
pub mod words;
pub mod worker;
pub mod writer;

#[cfg(test)]
mod tests;
