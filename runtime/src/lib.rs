//! edvac-runtime
