//! Runs as tools and resources of the Model Context Protocol, for programs that people already talk to.
//!
//! Tools ask what pages ask ([`crate::dashboard`] does both) and answer with the same views; resources are what a run leaves.

mod forms;
mod resources;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolResult, ContentBlock, Implementation, ListResourceTemplatesResult, ListResourcesResult,
    PaginatedRequestParams, ProgressNotificationParam, ReadResourceRequestParams, ReadResourceResponse,
    RequestMetaObject, ServerCapabilities, ServerConfig,
};
use rmcp::service::{Peer, RequestContext, RoleServer, ServiceExt as _};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::dashboard::Desk;
use crate::dashboard::actions::{self, Act, ActForm, AmendForm, Done, StartForm};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::view::{self, RunRow, RunView, now_ms};
use crate::dashboard::watched::Watched;
use forms::{ChangePlan, Files, Find, Fork, Of, OfStep, Read, Reject, Resume, Wait};

/// How often a run that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a run is waited for where nothing is said: clients give up on a tool after a minute or two.
const WAIT_S: u64 = 50;
/// The longest time that can be asked for.
const WAIT_S_MAX: u64 = 3600;
/// Lines of the log that one answer has.
const LINES_MAX: usize = 200;
/// Runs that one answer has.
const RUNS_MAX: usize = 50;
/// Lines of a file that one answer has where nothing is said.
const FILE_LINES_MAX: usize = 400;

/// Characters of a refusal.
const WHY_CHARS_MAX: usize = 1000;
/// Looks at the list of runs until each is read, a tenth of a second between two.
const LOOKS_MAX: usize = 50;

/// What clients are told first.
const INSTRUCTIONS: &str = "edvac carries out long tasks (codebases, books) by itself, for minutes to hours, step by step, and \
    checks every step. Start one with run_start, then call run_wait again and again until it does not go on; a run that waits \
    for approval is answered with run_approve or run_reject. What it made is in its workspace, and can be read with run_files \
    and run_read. A requirement is met only where a check has shown it: report what run_report says, not more.";

/// Why the protocol cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("the client and edvac do not understand each other: {0}")]
pub struct McpError(String);

/// Serves the protocol over standard input and output until the client leaves, or `stop` comes. Runs that began here stop then, in
/// the middle of a reply if need be: clients wait for seconds, then they kill. They can be resumed.
pub async fn serve_stdio(desk: Arc<Desk>, stop: impl Future<Output = ()>) -> Result<(), McpError> {
    let served = tokio::select! {
        served = serve(Arc::clone(&desk), rmcp::transport::stdio()) => served,
        () = stop => Ok(()),
    };
    desk.interrupt().await;
    served
}

async fn serve<T, E, A>(desk: Arc<Desk>, transport: T) -> Result<(), McpError>
where
    T: rmcp::transport::IntoTransport<RoleServer, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let service = Service { desk }.serve(transport).await.map_err(|e| McpError(e.to_string()))?;
    service.waiting().await.map_err(|e| McpError(e.to_string()))?;
    Ok(())
}

/// The protocol over a desk.
#[derive(Clone)]
struct Service {
    desk: Arc<Desk>,
}

type Answer = CallToolResult;

/// What was asked for, or why not, so that the model behind the client reads it.
fn answer(done: Result<Value, Trouble>) -> Answer {
    match done {
        Ok(value) => CallToolResult::structured(value),
        Err(trouble) => refused(&trouble),
    }
}

/// Why not. What was sent may be in it, and is not sent back at length.
fn refused(trouble: &Trouble) -> CallToolResult {
    let mut why: String = trouble.why.chars().take(WHY_CHARS_MAX).collect();
    if why.len() < trouble.why.len() {
        why.push('…');
    }
    CallToolResult::error(vec![ContentBlock::text(why)])
}

fn acted(done: Done<impl Serialize>) -> Answer {
    answer(done.and_then(|Json(done)| serde_json::to_value(done).map_err(Trouble::machine)))
}

fn text(done: Result<String, Trouble>) -> Answer {
    match done {
        Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
        Err(trouble) => refused(&trouble),
    }
}

#[tool_router]
impl Service {
    /// Begins a run and gives its id. The task says what to build and what must be true of it; requirements written as a list are
    /// taken as they are. The run goes on by itself; follow it with run_wait.
    #[tool(annotations(title = "Start a run", read_only_hint = false, destructive_hint = false))]
    async fn run_start(&self, Parameters(form): Parameters<StartForm>) -> Answer {
        acted(actions::begun(&self.desk, form).await)
    }

    /// All runs, the youngest first, with status, requirements met, tokens and time.
    #[tool(annotations(title = "List runs", read_only_hint = true))]
    async fn run_list(&self, Parameters(find): Parameters<Find>) -> Answer {
        let rows = self.rows().await;
        let words = find.find.to_lowercase();
        let is_wanted = |row: &&RunRow| {
            let known = format!("{} {} {} {}", row.run, row.title, row.task, row.model).to_lowercase();
            words.split_whitespace().all(|word| known.contains(word))
                && (find.status.is_empty() || find.status == row.status)
        };
        let found: Vec<_> = rows.iter().filter(is_wanted).collect();
        let shown: Vec<_> = found.iter().take(RUNS_MAX).map(|row| brief(row)).collect();
        answer(Ok(json!({ "all": found.len(), "runs": shown })))
    }

    /// How a run stands: status, what is in progress, what it asks, steps, requirements with evidence, tokens, time, money, and the
    /// last lines of its log.
    #[tool(annotations(title = "Status of a run", read_only_hint = true))]
    async fn run_status(&self, Parameters(of): Parameters<Of>) -> Answer {
        answer(self.look(&of.run, |watched| status(watched, None)).await)
    }

    /// Waits until a run does not go on any more (done, stopped, waits for approval), or until the time is over, and says what
    /// happened since `after`. Call it again with `after` set to the last `seq` while `goes_on` is true.
    #[tool(annotations(title = "Wait for a run", read_only_hint = true))]
    async fn run_wait(
        &self,
        Parameters(wait): Parameters<Wait>,
        meta: RequestMetaObject,
        peer: Peer<RoleServer>,
    ) -> Answer {
        answer(self.wait(wait, &meta, &peer).await)
    }

    /// What a run has shown: each requirement as met, unmet or without evidence, with the command and the commit that show it.
    /// Markdown.
    #[tool(annotations(title = "Report of a run", read_only_hint = true))]
    async fn run_report(&self, Parameters(of): Parameters<Of>) -> Answer {
        text(resources::report(&self.desk, &of.run).await)
    }

    /// The files of a run with their sizes, as of its last commit or as a step left them.
    #[tool(annotations(title = "Files of a run", read_only_hint = true))]
    async fn run_files(&self, Parameters(files): Parameters<Files>) -> Answer {
        answer(resources::list(&self.desk, &files.run, &files.at).await)
    }

    /// A file of a run, or some of its lines.
    #[tool(annotations(title = "Read a file of a run", read_only_hint = true))]
    async fn run_read(&self, Parameters(read): Parameters<Read>) -> Answer {
        let Read { run, path, at, first, last } = read;
        let first = first.unwrap_or(1);
        let last = last.unwrap_or(usize::MAX).min(first.saturating_add(FILE_LINES_MAX - 1));
        let file = resources::file(&self.desk, &run, &path, &at).await;
        text(file.and_then(|all| resources::lines(&all, first, last)))
    }

    /// The program of a run, as TOML: its requirements and steps.
    #[tool(annotations(title = "Plan of a run", read_only_hint = true))]
    async fn run_plan(&self, Parameters(of): Parameters<Of>) -> Answer {
        text(resources::plan(&self.desk, &of.run).await)
    }

    /// Puts a changed program in force, of a run that is not going on. Only changed steps, and those that stand on them, are
    /// carried out again. Take it from run_plan, change it, give it whole.
    #[tool(annotations(title = "Change the plan", read_only_hint = false))]
    async fn run_change_plan(&self, Parameters(change): Parameters<ChangePlan>) -> Answer {
        let ChangePlan { run, toml, why } = change;
        acted(actions::amended(&self.desk, &run, AmendForm { toml, why, version: None }).await)
    }

    /// Lets a run finish what is in progress, then stop. It can be resumed.
    #[tool(annotations(title = "Pause a run", read_only_hint = false, destructive_hint = false))]
    async fn run_pause(&self, Parameters(of): Parameters<Of>) -> Answer {
        self.act(&of.run, Act::Pause, ActForm::default()).await
    }

    /// Goes on with a run that was stopped; limits that are given are in force from now on.
    #[tool(annotations(title = "Resume a run", read_only_hint = false, destructive_hint = false))]
    async fn run_resume(&self, Parameters(resume): Parameters<Resume>) -> Answer {
        self.act(&resume.run, Act::Resume, ActForm { limits: resume.limits, ..ActForm::default() }).await
    }

    /// Gives a run up for good. What is committed stays.
    #[tool(annotations(title = "Cancel a run", read_only_hint = false, destructive_hint = true))]
    async fn run_cancel(&self, Parameters(of): Parameters<Of>) -> Answer {
        self.act(&of.run, Act::Cancel, ActForm::default()).await
    }

    /// Says yes to a run that waits for approval; it goes on. Ask the person first.
    #[tool(annotations(title = "Approve", read_only_hint = false, destructive_hint = false))]
    async fn run_approve(&self, Parameters(of): Parameters<Of>) -> Answer {
        self.act(&of.run, Act::Approve, ActForm::default()).await
    }

    /// Says no to a run that waits for approval; what is left is planned again with the reason.
    #[tool(annotations(title = "Reject", read_only_hint = false, destructive_hint = false))]
    async fn run_reject(&self, Parameters(reject): Parameters<Reject>) -> Answer {
        self.act(&reject.run, Act::Reject, ActForm { why: reject.why, ..ActForm::default() }).await
    }

    /// Takes a run back to where a step began, and carries it out again from there.
    #[tool(annotations(title = "Retry a step", read_only_hint = false))]
    async fn run_retry(&self, Parameters(retry): Parameters<OfStep>) -> Answer {
        self.act(&retry.run, Act::Retry, ActForm { step: Some(retry.step), ..ActForm::default() }).await
    }

    /// Makes another run that goes on from where a step of this one began (or from its end), in a workspace of its own.
    #[tool(annotations(title = "Fork a run", read_only_hint = false, destructive_hint = false))]
    async fn run_fork(&self, Parameters(fork): Parameters<Fork>) -> Answer {
        let Fork { run, step, name, paused, limits } = fork;
        self.act(&run, Act::Fork, ActForm { step, name, limits, paused, ..ActForm::default() }).await
    }
}

impl Service {
    async fn act(&self, run: &str, action: Act, form: ActForm) -> Answer {
        let dir = match self.desk.find(run) {
            Ok(dir) => dir,
            Err(error) => return answer(Err(error.into())),
        };
        acted(Box::pin(actions::done(&self.desk, dir, action, form)).await)
    }

    /// All runs. A page shows one that is still being read as such, and looks again; a program asks once.
    async fn rows(&self) -> Vec<RunRow> {
        for _ in 0..LOOKS_MAX {
            let rows = self.desk.rows(now_ms()).await;
            if rows.iter().all(|row| row.status != "being read") {
                return rows;
            }
            tokio::time::sleep(LOOK_EVERY / 5).await;
        }
        self.desk.rows(now_ms()).await
    }

    async fn look<V>(&self, run: &str, at: impl FnOnce(&Watched) -> V) -> Result<V, Trouble> {
        let shared = self.desk.watch(&self.desk.find(run)?).await?;
        let watched = shared.lock().await;
        Ok(at(&watched))
    }

    async fn wait(
        &self,
        wait: Wait,
        meta: &RequestMetaObject,
        peer: &Peer<RoleServer>,
    ) -> Result<Value, Trouble> {
        let limit = Duration::from_secs(wait.timeout_s.unwrap_or(WAIT_S).min(WAIT_S_MAX));
        let until = Instant::now() + limit;
        let mut told = wait.after.unwrap_or(0);
        loop {
            let (answer, news) = self
                .look(&wait.run, |watched| {
                    let news: Vec<_> = watched.log.iter().filter(|line| line.seq > told).cloned().collect();
                    let is_over = watched.writer.is_none() || Instant::now() >= until;
                    (is_over.then(|| status(watched, Some(wait.after.unwrap_or(0)))), news)
                })
                .await?;
            if let Some(token) = meta.get_progress_token() {
                for line in &news {
                    let progress = ProgressNotificationParam::new(token.clone(), line.seq as f64)
                        .with_message(line.words.clone());
                    // A client that does not hear it will hear the answer, or is gone.
                    let _ = peer.notify_progress(progress).await;
                }
            }
            told = news.last().map_or(told, |line| line.seq);
            if let Some(answer) = answer {
                return Ok(answer);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// A run in a list.
fn brief(row: &RunRow) -> Value {
    json!({
        "run": row.run, "title": row.title, "status": row.status, "model": row.model, "steps": row.steps,
        "steps_ended": row.steps_ended, "requirements": row.requirements, "tokens": row.tokens, "worked": row.worked,
        "workspace": row.workspace,
    })
}

/// A run as it stands, with its log since a record, or the last lines of it.
fn status(watched: &Watched, after: Option<u64>) -> Value {
    let run = RunView::of(watched, now_ms());
    let log: Vec<_> = watched.log.iter().filter(|line| line.seq > after.unwrap_or(0)).collect();
    // Of what is new the first lines, so that nothing is missed; else the last.
    let shown = match after {
        Some(_) => &log[..log.len().min(LINES_MAX)],
        None => &log[log.len().saturating_sub(LINES_MAX / 10)..],
    };
    let seq = shown.last().map_or(after.unwrap_or(0), |line| line.seq);
    let lines: Vec<_> = shown.iter().map(|line| json!({ "seq": line.seq, "words": line.words })).collect();
    let steps: Vec<_> = view::steps(watched)
        .into_iter()
        .map(|step| json!({ "id": step.id, "title": step.title, "status": step.status, "attempts": step.attempts }))
        .collect();
    let requirements: Vec<_> = view::requirements(&watched.state)
        .into_iter()
        .map(|r| json!({ "id": r.id, "text": r.text, "standing": r.mark.word, "evidence": r.evidence }))
        .collect();
    let mut value = brief(&run.row);
    value["goes_on"] = watched.writer.is_some().into();
    value["doing"] = json!(run.doing);
    value["question"] = json!(run.question);
    value["stopped"] = json!(run.stopped);
    // As `limits` of run_resume has it; pages and commands have flags.
    value["raise"] = run.choices.raise.as_ref().map_or(
        Value::Null,
        |raise| json!({ raise.flag.trim_start_matches('-').replace('-', "_"): raise.value }),
    );
    value["money"] = json!(run.row.money);
    value["steps"] = json!(steps);
    value["requirements"] = json!(requirements);
    value["log"] = json!(lines);
    value["log_left"] = json!(log.len() - shown.len());
    value["seq"] = json!(seq);
    value
}

#[tool_handler]
impl ServerHandler for Service {
    fn get_info(&self) -> ServerConfig {
        let can = ServerCapabilities::builder().enable_tools().enable_resources().build();
        ServerConfig::new(can)
            .with_server_info(Implementation::new("edvac", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let rows = self.rows().await;
        Ok(ListResourcesResult::with_all_items(resources::of_runs(&rows[..rows.len().min(RUNS_MAX)])))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&self.desk, &request.uri).await.map(Into::into)
    }
}

#[cfg(test)]
mod tests;
