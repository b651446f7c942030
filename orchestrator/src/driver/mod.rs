//! Drivers run the control unit: they order performing and recording so that a crash loses nothing.

pub mod embedded;
