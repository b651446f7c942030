//! One model, many askers: first come, first served, and an end to how many wait.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// Most requests that wait for one model. A reply takes seconds to minutes: who comes later is better told at once.
pub const WAITING_MAX: usize = 32;

/// The queue for one model. Tokio's semaphores are fair: who waits longest is next, and who goes away loses its place.
pub(crate) struct Queue {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    turns_max: usize,
}

/// The right to use the model; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Queue {
    /// A queue for a model that makes so many replies at a time.
    pub fn of(turns_max: usize) -> Self {
        let places = Arc::new(Semaphore::new(WAITING_MAX + turns_max));
        Self { places, turns: Arc::new(Semaphore::new(turns_max)), turns_max }
    }

    /// Waits for a turn; refuses at once where too many wait.
    pub async fn turn(&self) -> Result<Turn, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::full())?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| Refusal::internal("The queue is closed."))?;
        Ok(Turn { _place: place, _turn: turn })
    }

    /// Requests that have a turn, and those that wait for one.
    pub fn counts(&self) -> (usize, usize) {
        let running = self.turns_max - self.turns.available_permits().min(self.turns_max);
        let places_max = WAITING_MAX + self.turns_max;
        let all = places_max - self.places.available_permits().min(places_max);
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
        let queue = Queue::of(1);
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

    #[test]
    fn as_many_run_as_the_model_makes_at_a_time() {
        let queue = Queue::of(2);
        let mut context = Context::from_waker(Waker::noop());
        let mut asked: Vec<_> = (0..3).map(|_| Box::pin(queue.turn())).collect();
        let ready: Vec<_> = asked.iter_mut().map(|a| a.as_mut().poll(&mut context)).collect();
        assert!(ready[0].is_ready() && ready[1].is_ready() && ready[2].is_pending());
        assert_eq!(queue.counts(), (2, 1));
    }
}
