//! The control unit and what it needs to act. See ARCHITECTURE.md for which of its modules are part of the build.
