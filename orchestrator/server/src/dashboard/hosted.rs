//! Runs that this process carries out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use edvac_memory::ids::RunId;
use edvac_orchestrator::run::RunHandle;
use tokio::sync::{mpsc, watch};

use super::desk::lock;

/// What a run of this process is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// Finish what is in progress, then stop.
    Stop,
    /// Stop now, in the middle of a reply if need be; it can be resumed.
    Interrupt,
    /// Stop for good.
    Cancel,
}

/// The runs of this process.
pub(crate) struct Hosted {
    runs: Arc<Mutex<BTreeMap<RunId, mpsc::UnboundedSender<Ask>>>>,
    /// How many there are.
    count: watch::Sender<usize>,
}

impl Default for Hosted {
    fn default() -> Self {
        Self { runs: Arc::default(), count: watch::Sender::new(0) }
    }
}

impl Hosted {
    /// Looks after a run until it ends.
    pub fn host(&self, mut handle: RunHandle) -> RunId {
        let id = handle.dir.id.clone();
        let (asks, mut asked) = mpsc::unbounded_channel();
        lock(&self.runs).insert(id.clone(), asks);
        self.count.send_modify(|count| *count += 1);
        let (runs, count, of) = (Arc::clone(&self.runs), self.count.clone(), id.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    ended = handle.join() => {
                        if let Err(error) = ended {
                            tracing::error!("run {of}: {error}");
                        }
                        break;
                    }
                    Some(ask) = asked.recv() => match ask {
                        Ask::Stop => handle.stop(),
                        Ask::Interrupt => handle.interrupt(),
                        Ask::Cancel => handle.cancel(),
                    },
                }
            }
            lock(&runs).remove(&of);
            count.send_modify(|count| *count -= 1);
        });
        id
    }

    /// Asks a run of this process; false where it is none.
    pub fn ask(&self, id: &RunId, ask: Ask) -> bool {
        lock(&self.runs).get(id).is_some_and(|asks| asks.send(ask).is_ok())
    }

    /// Whether a run is one of this process.
    pub fn has(&self, id: &RunId) -> bool {
        lock(&self.runs).contains_key(id)
    }

    /// Asks all to stop, and waits until they have.
    pub async fn stop_all(&self, how: Ask) {
        for asks in lock(&self.runs).values() {
            let _ = asks.send(how);
        }
        let mut count = self.count.subscribe();
        let _ = count.wait_for(|count| *count == 0).await;
    }
}
