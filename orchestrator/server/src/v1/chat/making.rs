//! A reply while the model makes it.

use std::collections::VecDeque;
use std::sync::Arc;

use edvac_agents::client::{Delta, ModelError, ModelReply, ModelRequest};
use tokio::sync::{mpsc, watch};

use crate::app::App;
use crate::refusal::Refusal;

/// What is seen of it.
#[derive(Debug)]
pub(super) enum Seen {
    /// The model works on the prompt.
    Prefill,
    /// More text.
    Text(String),
    /// It is over.
    Over(Box<Result<ModelReply, ModelError>>),
}

/// A reply in the making. It is unmade when this is dropped: nobody would read it.
pub(super) struct Making {
    seen: mpsc::UnboundedReceiver<Seen>,
    /// What [`Self::begun`] looked at and did not use.
    looked_at: VecDeque<Seen>,
    _unmake: CancelOnDrop,
}

struct CancelOnDrop(watch::Sender<bool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(true);
    }
}

impl Making {
    /// Waits for its turn and has the model begin. Dropping the future while it waits gives the place in the queue up.
    pub async fn begin(app: &Arc<App>, request: ModelRequest) -> Result<Self, Refusal> {
        let turn = app.replies.turn().await?;
        let (cancel, cancelled) = watch::channel(false);
        // Has an end although it is unbounded: a reply has no more pieces than tokens, and those have their limit.
        let (show, seen) = mpsc::unbounded_channel();
        let app = Arc::clone(app);
        // A task of its own: the turn ends when the model has stopped, not when the client has gone.
        tokio::spawn(async move {
            let sink = |delta| {
                let _ = match delta {
                    Delta::Prefill { .. } => show.send(Seen::Prefill),
                    Delta::Text { text, .. } => show.send(Seen::Text(text)),
                    // Nothing is withdrawn of what clients may have shown: requests from outside allow no rewinds.
                    Delta::Retry { .. } | Delta::Withdrawn { .. } => Ok(()),
                };
            };
            let reply = app.client.complete(&request, &sink, cancelled).await;
            app.metrics.replied(&reply);
            drop(turn);
            let _ = show.send(Seen::Over(Box::new(reply)));
        });
        Ok(Self { seen, looked_at: VecDeque::new(), _unmake: CancelOnDrop(cancel) })
    }

    /// What comes next.
    pub async fn next(&mut self) -> Result<Seen, Refusal> {
        match self.looked_at.pop_front() {
            Some(seen) => Ok(seen),
            None => self.seen.recv().await.ok_or_else(|| Refusal::internal("The reply broke off.")),
        }
    }

    /// Waits until the model has taken the request, or gives why it did not.
    pub async fn begun(&mut self) -> Result<(), Refusal> {
        match self.next().await? {
            Seen::Over(reply) => match *reply {
                Err(error) => return Err(error.into()),
                Ok(reply) => self.looked_at.push_back(Seen::Over(Box::new(Ok(reply)))),
            },
            seen => self.looked_at.push_back(seen),
        }
        Ok(())
    }

    /// Waits for all of it.
    pub async fn whole(mut self) -> Result<ModelReply, Refusal> {
        // Ends with the reply, whose pieces have their limit.
        loop {
            if let Seen::Over(reply) = self.next().await? {
                return (*reply).map_err(Into::into);
            }
        }
    }
}
