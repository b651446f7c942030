//! What happens in a run, as it happens, for everybody who looks at it: one reader of the journal, whoever many listen.
//!
//! Records come with their sequence number, which is what a page that was cut off asks to go on from. Parts of the page come
//! as they are rendered, once for all. What a model is writing comes in pieces, and is whole again for whoever comes later.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::response::sse::Event;
use edvac_memory::journal::Seq;
use edvac_orchestrator::control::Event as Recorded;
use edvac_orchestrator::live::{Partial, Partials};
use edvac_orchestrator::story::talk;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, broadcast};

use super::desk::Desk;
use super::message::{Message, Nothing};
use super::render;
use super::view::now_ms;
use super::view::{self, Choices, Mark, RunView};
use super::watched::{Shared, Watched};

/// Between two looks at a run: about 12 a second, which reads as one flow.
const PAUSE: Duration = Duration::from_millis(80);
/// Between two renderings of what a page shows.
const RENDER_PAUSE: Duration = Duration::from_millis(400);
/// The timeline, which grows with the run, is drawn anew less often.
const TIMELINE_PAUSE: Duration = Duration::from_secs(4);
/// Messages that a listener may lag behind; then it is cut off, comes again and goes on from its last record.
const BACKLOG_MAX: usize = 4096;
/// A feed that nobody listens to ends after this.
const IDLE: Duration = Duration::from_secs(10);
/// Records that a page that was cut off is sent; one that missed more loads itself again.
const MISSED_MAX: usize = 500;

/// A run's feed.
pub(crate) struct Feed {
    to_all: broadcast::Sender<Event>,
    shared: Shared,
    said: Mutex<Said>,
    over: AtomicBool,
}

/// What everybody was told.
#[derive(Default)]
struct Said {
    /// Whether anything was looked at yet.
    began: bool,
    /// The last record; 0 where there is none yet.
    seq: Seq,
    /// Parts of the page: what they were made of, how they look, and since which record.
    parts: BTreeMap<String, Part>,
    /// What is being written.
    partials: Partials,
    /// The last record when each of that was first seen.
    since: BTreeMap<String, Seq>,
}

/// When what was done last.
#[derive(Default)]
struct Pace {
    /// Whether something is recorded that the parts of the page do not show yet.
    dirty: bool,
    /// The same of the timeline.
    undrawn: bool,
    rendered: Option<Instant>,
    drawn: Option<Instant>,
}

impl Pace {
    fn see(&mut self, changed: bool) {
        self.dirty |= changed;
        self.undrawn |= changed;
    }
}

/// A part of the page.
struct Part {
    hash: u64,
    html: String,
    since: Seq,
}

impl Feed {
    /// Begins to follow a run. What there is then is known before anybody listens.
    pub async fn begin(desk: Arc<Desk>, shared: Shared) -> Arc<Self> {
        let feed = Arc::new(Self {
            to_all: broadcast::Sender::new(BACKLOG_MAX),
            shared,
            said: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let own = Arc::clone(&feed);
        let mut pace = Pace { dirty: true, undrawn: true, ..Pace::default() };
        feed.look(&mut pace).await;
        tokio::spawn(async move {
            own.follow(&desk, pace).await;
        });
        feed
    }

    /// Whether it follows the run no more.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether anybody listens.
    #[cfg(test)]
    pub fn has_listeners(&self) -> bool {
        self.to_all.receiver_count() > 0
    }

    /// Renders what changed now, and says since which record each part looks as it does.
    #[cfg(test)]
    pub async fn render_now(&self) -> BTreeMap<String, Seq> {
        let mut watched = self.shared.lock().await;
        watched.refresh().await.expect("the journal is read");
        let mut said = self.said.lock().await;
        self.tell_parts(&watched, &mut said);
        said.parts.iter().map(|(name, part)| (name.clone(), part.since)).collect()
    }

    /// What was missed since record `after`, and all that comes; none where it has just ended.
    pub async fn listen(&self, after: Seq) -> Option<(Vec<Event>, broadcast::Receiver<Event>)> {
        let watched = self.shared.lock().await;
        // Nothing is said while this is held: what comes is neither missed nor told twice.
        let said = self.said.lock().await;
        if self.is_over() {
            return None;
        }
        let receiver = self.to_all.subscribe();
        let missed = watched.log.partition_point(|line| line.seq <= after);
        let missed: Vec<_> = watched.log[missed..].iter().filter(|line| line.seq <= said.seq).collect();
        let mut events = Vec::new();
        if missed.len() > MISSED_MAX || after > watched.state.seq {
            events.push(Message::Reload(Nothing {}).into());
        } else {
            events.extend(missed.into_iter().map(|line| Message::Record(line.clone()).into()));
        }
        let changed = said.parts.iter().filter(|(_, part)| part.since > after);
        events.extend(changed.map(|(name, part)| Message::part(name, &part.html).into()));
        let whole =
            |(of, partial): (&String, &Partial)| Message::live(of, partial, &partial.text, None).into();
        events.extend(said.partials.iter().map(whole));
        events.push(Message::caught_up(said.seq).into());
        Some((events, receiver))
    }

    async fn follow(&self, desk: &Desk, mut pace: Pace) {
        let mut heard = Instant::now();
        while !desk.stopping.is_cancelled() {
            tokio::time::sleep(PAUSE).await;
            if self.to_all.receiver_count() > 0 {
                heard = Instant::now();
            } else if heard.elapsed() > IDLE && self.end().await {
                return;
            }
            if !self.look(&mut pace).await {
                break;
            }
        }
        self.over.store(true, Ordering::Release);
        // Whoever listens is let go with the last one who holds it.
        desk.forget_feeds().await;
    }

    /// Ends it, unless somebody came to listen meanwhile.
    async fn end(&self) -> bool {
        let _said = self.said.lock().await;
        let nobody = self.to_all.receiver_count() == 0;
        self.over.store(nobody, Ordering::Release);
        nobody
    }

    /// Tells everybody what is new; false where the run cannot be read any more, or is not there any more.
    async fn look(&self, pace: &mut Pace) -> bool {
        let mut watched = self.shared.lock().await;
        match watched.refresh().await {
            Ok(changed) => pace.see(changed),
            Err(error) => {
                tracing::warn!("run {}: {error}", watched.dir.id);
                return false;
            }
        }
        let mut said = self.said.lock().await;
        // A page that asks with an older state may have been refreshed by another one: what is new is what was not said.
        pace.see(said.seq < watched.state.seq);
        self.tell_records(&watched, &mut said);
        self.tell_partials(&mut watched, &mut said).await;
        let is_due = |since: Option<Instant>, pause| since.is_none_or(|since| since.elapsed() > pause);
        if pace.dirty && is_due(pace.rendered, RENDER_PAUSE) {
            (pace.dirty, pace.rendered) = (false, Some(Instant::now()));
            self.tell_parts(&watched, &mut said);
        }
        if is_due(pace.drawn, TIMELINE_PAUSE) && (watched.writer.is_some() || pace.undrawn) {
            (pace.undrawn, pace.drawn) = (false, Some(Instant::now()));
            let timeline = view::timeline(&watched, now_ms() - watched.began_ms());
            let view = json!({ "timeline": timeline, "run": { "run": watched.dir.id } });
            self.tell(&mut said, watched.state.seq, "timeline", &view);
        }
        if watched.is_gone {
            self.tell_parts(&watched, &mut said);
            self.send(Message::Gone(Nothing {}));
        }
        !watched.is_gone
    }

    fn tell_records(&self, watched: &Watched, said: &mut Said) {
        // The first time everything is old: who listens has a page that shows it, or asks for it.
        if said.began {
            let new = watched.log.partition_point(|line| line.seq <= said.seq);
            for line in &watched.log[new..] {
                self.send(Message::Record(line.clone()));
            }
        }
        said.began = true;
        said.seq = watched.state.seq;
    }

    async fn tell_partials(&self, watched: &mut Watched, said: &mut Said) {
        let partials = watched.partials();
        let gone: Vec<_> = said.partials.keys().filter(|of| !partials.contains_key(*of)).cloned().collect();
        for of in gone {
            // Its end may have been recorded before it was seen here.
            let since = said.since.remove(&of).unwrap_or(said.seq);
            if let Some((partial, text)) = ended(watched, &of, since).await {
                self.send(Message::live(&of, &partial, &text, None));
            }
            self.send(Message::gone(&of));
        }
        for (of, partial) in &partials {
            let before = said.partials.get(of);
            if before == Some(partial) {
                continue;
            }
            said.since.entry(of.clone()).or_insert(said.seq);
            let more = before.and_then(|before| {
                let more = partial.text.strip_prefix(before.text.as_str())?;
                Some((more, before.text.encode_utf16().count()))
            });
            match more {
                Some((more, after)) => self.send(Message::live(of, partial, more, Some(after))),
                None => self.send(Message::live(of, partial, &partial.text, None)),
            }
        }
        said.partials = partials;
    }

    fn tell_parts(&self, watched: &Watched, said: &mut Said) {
        let seq = watched.state.seq;
        let run = RunView::of(watched, now_ms());
        self.tell(said, seq, "head", &json!({ "run": Head::of(&run) }));
        self.tell(said, seq, "meters", &json!({ "run": { "meters": run.meters } }));
        let tally = json!({ "requirements": run.row.requirements });
        let requirements = view::requirements(&watched.state);
        self.tell(said, seq, "requirements", &json!({ "requirements": requirements, "run": tally }));
        for step in view::steps(watched) {
            let name = format!("step-{}", step.id);
            self.tell(said, seq, &name, &json!({ "step": step, "run": { "run": run.row.run } }));
        }
        self.tell(said, seq, "version", &json!({ "run": { "version": run.version } }));
    }

    /// Renders a part where what it is made of changed, and tells everybody.
    fn tell(&self, said: &mut Said, seq: Seq, name: &str, view: &Value) {
        let mut hasher = DefaultHasher::new();
        view.to_string().hash(&mut hasher);
        let hash = hasher.finish();
        if said.parts.get(name).is_some_and(|part| part.hash == hash) {
            return;
        }
        let html = match render::part(name, view) {
            Ok(html) => html,
            Err(error) => {
                tracing::error!("part {name}: {error}");
                return;
            }
        };
        self.send(Message::part(name, &html));
        said.parts.insert(name.to_owned(), Part { hash, html, since: seq });
    }

    fn send(&self, message: Message) {
        // An error only says that nobody listens.
        let _ = self.to_all.send(message.into());
    }
}

/// The reply to a conversation that was recorded after `since`.
async fn ended(watched: &Watched, of: &str, since: Seq) -> Option<(Partial, String)> {
    let found = watched.replies.iter().rev().find(|reply| reply.conversation == of && reply.seq > since)?;
    let Ok(Some(Recorded::Replied { reply, .. })) = watched.event(found.seq).await else { return None };
    let usage = &reply.usage;
    let partial = Partial {
        prompt_done: usage.prompt_tokens as usize,
        prompt_total: usage.prompt_tokens as usize,
        tokens: usage.completion_tokens as usize,
        text: String::new(),
        about: talk(found.purpose),
    };
    Some((partial, reply.text))
}

/// What the head of a run's page shows. Times and figures are not in it: they change with every record, and a part is sent when
/// what it is made of changed.
#[derive(Serialize)]
struct Head<'a> {
    run: &'a str,
    title: &'a str,
    status: &'static str,
    mark: Mark,
    stale: bool,
    domain: &'a str,
    model: &'a str,
    workspace: &'a str,
    process: Option<u32>,
    forked_from: Option<&'a str>,
    origin: Option<&'a str>,
    unsafe_no_sandbox: bool,
    question: Option<&'a str>,
    stopped: Option<&'a str>,
    doing: &'a [String],
    choices: &'a Choices,
}

impl<'a> Head<'a> {
    fn of(run: &'a RunView) -> Self {
        let row = &run.row;
        Self {
            run: &row.run,
            title: &row.title,
            status: row.status,
            mark: row.mark,
            stale: row.stale,
            domain: &row.domain,
            model: &row.model,
            workspace: &row.workspace,
            process: row.process,
            forked_from: row.forked_from.as_deref(),
            origin: run.origin.as_deref(),
            unsafe_no_sandbox: run.unsafe_no_sandbox,
            question: run.question.as_deref(),
            stopped: run.stopped.as_deref(),
            doing: &run.doing,
            choices: &run.choices,
        }
    }
}
