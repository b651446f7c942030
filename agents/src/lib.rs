//! edvac-agents
