//! Drivers: what calls `decide`, has effects performed, and makes their results durable.

pub mod embedded;

#[cfg(test)]
mod schedules_tests;
