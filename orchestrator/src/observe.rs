//! Who is told of the runs that this process carries out.
//!
//! One observer a process, named by the binary before it begins anything, so that no command has to pass it on to the runs that it
//! begins. It sees what every client sees, and can change nothing.

use std::sync::OnceLock;

use tokio::sync::broadcast::Receiver;

use crate::notice::{Notice, Notices};
use crate::place::RunDir;

/// Is told of runs.
pub trait Observer: Send + Sync {
    /// A run begins in this process, or goes on in it. Its journal is there; what happens from now on comes as notices, which end
    /// with the run. Must not block.
    fn began(&self, dir: &RunDir, notices: Receiver<Notice>);
}

static OBSERVER: OnceLock<Box<dyn Observer>> = OnceLock::new();

/// Names the observer. The first one stays; false says that this is another.
pub fn observe(observer: impl Observer + 'static) -> bool {
    OBSERVER.set(Box::new(observer)).is_ok()
}

pub(crate) fn began(dir: &RunDir, notices: &Notices) {
    if let Some(observer) = OBSERVER.get() {
        observer.began(dir, notices.watch());
    }
}
