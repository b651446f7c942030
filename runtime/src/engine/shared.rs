//! An engine that several callers share (continuous batching, after Yu et al. 2022): replies that are in the making at the
//! same time take each pass together, since reading the weights is what a token costs and one reading serves all.
//!
//! A pass has the next tokens of every reply that is being written, and at most one piece of a prompt: a long prompt slows
//! others down and does not stop them. Prompts take turns between the oldest, which so comes to its end, and the one of which
//! least is left, so that a short question does not wait for a long one. Results do not depend on what else a pass computes.
//!
//! What one reply computed of its prompt the others need not: rows are copied from sequence to sequence, and a reply whose
//! prompt goes on like that of an older one waits for it.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::reply::{Feed, Reply};
use super::{Engine, GenerateRequest, Generation, ModelMeta, PREFILL_CHUNK, Progress};
use crate::arch::Part;
use crate::chat_template::{ChatMessage, ChatTemplate};
use crate::error::Error;

/// Most replies that are made at the same time; more wait in the order they came.
pub const REPLIES_MAX: usize = 4;
/// Prompt tokens of a pass beside replies that are being written: a tenth of a second of a model that reads 320 a second.
const SHARED_CHUNK: usize = 32;

/// A shared engine. When its last clone goes, the engine does, and what it remembers on disk is finished first.
#[derive(Clone)]
pub struct SharedEngine {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    meta: ModelMeta,
    template: ChatTemplate,
    replies_max: usize,
}

/// A request and who waits for it.
struct Job {
    request: GenerateRequest,
    seen: Sender<Seen>,
    /// Nobody waits any more.
    gone: Arc<AtomicBool>,
}

enum Seen {
    Progress(Progress),
    Ended(Box<Result<Generation, Error>>),
}

impl SharedEngine {
    /// Takes an engine over, to a thread of its own.
    pub fn new(engine: Engine) -> Result<Self, Error> {
        let (meta, template, replies_max) =
            (engine.meta.clone(), engine.template.clone(), engine.replies_max);
        let (jobs, waiting) = channel();
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || Table { engine, replies: Vec::new(), oldest: true }.serve(&waiting))
            .map_err(|error| Error::Stopped(format!("its thread cannot be started: {error}")))?;
        let inner = Inner { jobs: Some(jobs), thread: Some(thread), meta, template, replies_max };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What is known about the model.
    pub fn meta(&self) -> &ModelMeta {
        &self.inner.meta
    }

    /// Replies it makes at the same time, at most [`REPLIES_MAX`]; more wait in the order they came.
    pub fn replies_max(&self) -> usize {
        self.inner.replies_max
    }

    /// The conversation as text for the model.
    pub fn render_chat(
        &self,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
    ) -> Result<String, Error> {
        self.inner.template.render(messages, add_generation_prompt)
    }

    /// Makes one reply, streaming it to `on_progress`, which may end it; blocks until it is there. After its end was asked
    /// for, some more tokens may be made, which nobody is told of.
    pub fn generate(
        &self,
        request: &GenerateRequest,
        on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generation, Error> {
        let (seen, seen_by_us) = channel();
        let gone = Arc::new(AtomicBool::new(false));
        let job = Job { request: request.clone(), seen, gone: Arc::clone(&gone) };
        let stopped = || Error::Stopped("a computation failed badly".to_owned());
        self.inner.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(stopped)?;
        for seen in seen_by_us {
            match seen {
                Seen::Ended(result) => return *result,
                Seen::Progress(progress) if !gone.load(Relaxed) => {
                    gone.store(on_progress(progress).is_break(), Relaxed);
                }
                Seen::Progress(_) => {}
            }
        }
        Err(stopped())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The engine with the replies in the making, the oldest first.
struct Table {
    engine: Engine,
    replies: Vec<(Reply, Job)>,
    /// Whether the next piece of a prompt is the oldest's.
    oldest: bool,
}

impl Table {
    fn serve(mut self, waiting: &Receiver<Job>) {
        loop {
            while self.replies.len() < self.engine.replies_max {
                let next =
                    if self.replies.is_empty() { waiting.recv().ok() } else { waiting.try_recv().ok() };
                match next {
                    // One whose beginning panics has its job dropped, which its caller sees.
                    Some(job) => drop(catch_unwind(AssertUnwindSafe(|| self.seat(job)))),
                    None if self.replies.is_empty() => return,
                    None => break,
                }
            }
            if catch_unwind(AssertUnwindSafe(|| self.pass())).is_err() {
                // Their callers see that nothing comes any more.
                self.replies.clear();
            }
        }
    }

    fn seat(&mut self, job: Job) {
        match self.engine.begin(&job.request) {
            Ok(reply) => self.replies.push((reply, job)),
            Err(error) => job.ended(Err(error)),
        }
    }

    /// One pass; replies that came to their end leave.
    fn pass(&mut self) {
        let writing = self.replies.iter().any(|(reply, _)| !reply.is_reading());
        let chunk = if writing { SHARED_CHUNK } else { PREFILL_CHUNK };
        self.share_rows();
        let reader = self.reader();
        let mut next = Vec::with_capacity(self.replies.len());
        for (n, (mut reply, job)) in std::mem::take(&mut self.replies).into_iter().enumerate() {
            if job.gone.load(Relaxed) {
                reply.cancel();
                self.leave(reply, job, Ok(()));
                continue;
            }
            if reply.is_reading() && reader != Some(n) {
                next.push((reply, job, None));
                continue;
            }
            match reply.next(&self.engine.tokenizer, chunk, &mut |progress| job.tell(progress)) {
                Ok(Some(feed)) => next.push((reply, job, Some(feed))),
                ended => self.leave(reply, job, ended.map(drop)),
            }
        }
        let failed = self.compute(&mut next);
        for (n, (reply, job, _)) in next.into_iter().enumerate() {
            match failed.iter().find(|(at, _)| *at == n) {
                Some((_, why)) => self.leave(reply, job, Err(Error::Stopped(why.clone()))),
                None => self.replies.push((reply, job)),
            }
        }
    }

    /// Gives each prompt the rows of it that another reply's sequence has.
    fn share_rows(&mut self) {
        for n in 0..self.replies.len() {
            for other in (0..self.replies.len()).filter(|other| *other != n) {
                let [(reply, _), (other, _)] =
                    self.replies.get_disjoint_mut([n, other]).expect("two that are there");
                reply.take_rows(other);
            }
        }
    }

    /// Whose piece of a prompt is computed next. The oldest never waits for another.
    fn reader(&mut self) -> Option<usize> {
        let waits =
            |n: usize, reply: &Reply| self.replies[..n].iter().any(|(older, _)| reply.gets_rows_from(older));
        let reading = || {
            let all = self.replies.iter().enumerate();
            all.filter(|(n, (reply, _))| reply.is_reading() && !waits(*n, reply))
        };
        let oldest = reading().next()?.0;
        let shortest = reading().min_by_key(|(_, (reply, _))| reply.left_to_read())?.0;
        self.oldest = !self.oldest;
        Some(if self.oldest { shortest } else { oldest })
    }

    /// Computes what is next of all; which of them failed, and why. Where a pass fails, each is tried alone: one's bad token
    /// must not end the others.
    fn compute(&self, next: &mut [(Reply, Job, Option<Feed>)]) -> Vec<(usize, String)> {
        let mut parts: Vec<_> = next
            .iter_mut()
            .filter_map(|(reply, _, feed)| {
                let feed = feed.as_ref()?;
                Some(Part { kv: &mut reply.kv, ids: &feed.ids, wanted: feed.wanted })
            })
            .collect();
        if parts.is_empty() {
            return Vec::new();
        }
        let all = self.engine.model.forward(&mut parts).ok();
        let mut all = all.map(Vec::into_iter);
        let mut failed = Vec::new();
        for (n, (reply, _, feed)) in next.iter_mut().enumerate() {
            let Some(feed) = feed else { continue };
            let rows = match &mut all {
                Some(all) => Ok(all.next().unwrap_or_default()),
                None => self.engine.model.forward_one(&mut reply.kv, &feed.ids, feed.wanted),
            };
            match rows {
                Ok(rows) => reply.computed(feed, rows),
                Err(error) => failed.push((n, error.to_string())),
            }
        }
        failed
    }

    fn leave(&mut self, reply: Reply, job: Job, result: Result<(), Error>) {
        let (generation, kv) = reply.end();
        self.engine.kv.finish(kv);
        job.ended(result.map(|()| generation));
    }
}

impl Job {
    fn tell(&self, progress: Progress) -> ControlFlow<()> {
        let heard = self.seen.send(Seen::Progress(progress)).is_ok() && !self.gone.load(Relaxed);
        if heard { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn ended(self, result: Result<Generation, Error>) {
        // One who does not wait any more need not know.
        let _ = self.seen.send(Seen::Ended(Box::new(result)));
    }
}
