//! edvac-orchestrator
