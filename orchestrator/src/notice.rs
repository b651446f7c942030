//! What a running run tells those who watch it. Records are the truth and can be read again from the journal by
//! their sequence number; everything else is for the eyes and may be missed.

use std::sync::Arc;

use edvac_agents::client::Delta;
use edvac_memory::journal::Record;
use tokio::sync::broadcast;

use crate::control::{Effect, Purpose};

/// Notices a slow watcher may lag behind before it misses some.
const BACKLOG_MAX: usize = 4096;

/// One notice.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A journal record was written.
    Recorded(Arc<Record>),
    /// An effect is being performed.
    Performing(Arc<Effect>),
    /// A reply is being made.
    Delta(Purpose, Delta),
    /// Something worth a line, such as a check about to run.
    Note(String),
}

/// The sending side; cheap to clone, never blocks.
#[derive(Clone, Debug)]
pub struct Notices(broadcast::Sender<Notice>);

impl Default for Notices {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG_MAX))
    }
}

impl Notices {
    /// Tells everybody who is listening.
    pub fn send(&self, notice: Notice) {
        // An error only says that nobody listens.
        let _ = self.0.send(notice);
    }

    /// A new watcher; it sees what is sent from now on.
    pub fn watch(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }
}
