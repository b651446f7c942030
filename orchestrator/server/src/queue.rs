//! One model, many askers: first come, first served, and an end to how many wait.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// Most requests that wait for one model. A reply takes seconds to minutes: who comes later is better told at once.
pub const WAITING_MAX: usize = 32;

/// The queue for one model. Tokio's semaphores are fair: who waits longest is next, and who goes away loses its place.
pub(crate) struct Queue {
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl Default for Queue {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(WAITING_MAX + 1)), turn: Arc::new(Semaphore::new(1)) }
    }
}

/// The right to use the model; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Queue {
    /// Waits for a turn; refuses at once where too many wait.
    pub async fn turn(&self) -> Result<Turn, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::full())?;
        let turn = Arc::clone(&self.turn)
            .acquire_owned()
            .await
            .map_err(|_| Refusal::internal("The queue is closed."))?;
        Ok(Turn { _place: place, _turn: turn })
    }

    /// Requests that have a turn, and those that wait for one.
    pub fn counts(&self) -> (usize, usize) {
        let running = 1 - self.turn.available_permits().min(1);
        let all = WAITING_MAX + 1 - self.places.available_permits().min(WAITING_MAX + 1);
        (running, all.saturating_sub(running))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn turns_come_in_order_and_places_end() {
        let queue = Queue::default();
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(first)) = pin!(queue.turn()).poll(&mut context) else { panic!("free") };
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(queue.turn())).collect();
        assert!(waiting.iter_mut().all(|w| w.as_mut().poll(&mut context).is_pending()));
        assert_eq!(queue.counts(), (1, WAITING_MAX));
        let Poll::Ready(Err(refusal)) = pin!(queue.turn()).poll(&mut context) else { panic!("full") };
        assert_eq!(refusal.code, "queue_full");
        // The first in line goes away: the second is next.
        drop(waiting.remove(0));
        drop(first);
        assert!(waiting[1].as_mut().poll(&mut context).is_pending());
        assert!(waiting[0].as_mut().poll(&mut context).is_ready());
    }
}
