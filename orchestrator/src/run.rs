//! Starting and resuming runs. [`RunHandle`] is what every client (CLI, pages, protocols) holds of a run: wishes in,
//! notices out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use edvac_agents::client::ModelClient;
use edvac_agents::templates::{TemplateError, Templates};
use edvac_memory::ids::RunId;
use edvac_memory::index::{Embedder, IndexError, SqliteIndex};
use edvac_memory::journal::{Journal, JournalError, Options, Seq, SqliteJournal, SystemClock};
use edvac_memory::program::{Program, validate::validate};
use edvac_memory::slug;
use edvac_memory::store::{FileStore, Found, GitStore, StoreError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::check::unusable;
use crate::config::{Config, ConfigError, ModelConfig};
use crate::control::event::{Limits, SecondModel};
use crate::control::{Event, Rules, RunState, StopReason};
use crate::dependencies::Shelf;
use crate::domain::{Domain, DomainError};
use crate::driver::embedded::{DriveError, Wish, drive, fold};
use crate::existing::{self, Existing, ExistingError};
use crate::live::LiveWriter;
use crate::notice::Notices;
use crate::observe;
use crate::perform::Performer;
use crate::place::{PlaceError, RunDir, Runs};
use crate::report::Report;
use crate::sandbox::{self, NoSandbox, Refusal, Sandbox};
use crate::terms::{Terms, priced};
use crate::tools::{ToolError, Toolbox};

/// Bytes of a task. A larger one is material, and belongs into files.
pub const TASK_BYTES_MAX: usize = 64 << 10;
/// Directories tried until one is free: `todo`, `todo-2`, …
const SLUGS_MAX: usize = 1000;

/// Why a run cannot be started or resumed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing to do.
    #[error("the task is empty")]
    EmptyTask,
    /// More than a task.
    #[error("the task has {bytes} bytes; at most {TASK_BYTES_MAX} are allowed")]
    LongTask {
        /// Its length.
        bytes: usize,
    },
    /// A name that cannot be a directory.
    #[error("{name:?} cannot be the name of a workspace")]
    BadName {
        /// What was given.
        name: String,
    },
    /// The workspace is somebody's already.
    #[error("the workspace {} exists already", .path.display())]
    WorkspaceExists {
        /// Its path.
        path: PathBuf,
    },
    /// A program that was handed in has faults.
    #[error("the program cannot be used:\n{}", .problems.join("\n"))]
    BadProgram {
        /// One sentence each.
        problems: Vec<String>,
    },
    /// Nothing may be executed.
    #[error("{}", .0.why)]
    NoSandbox(Refusal),
    /// The run has ended.
    #[error("run {run} is over ({status})")]
    Over {
        /// Which.
        run: RunId,
        /// How.
        status: &'static str,
    },
    /// It has ended, and what it has not done for want of a limit needs more of it.
    #[error("run {run} has ended, with steps that used up their share of a limit")]
    CutShort {
        /// Which.
        run: RunId,
        /// The command that gives them more.
        command: String,
    },
    /// Money is limited, and nobody said what the model costs.
    #[error("the price of {model} is not known, so that a limit on the cost cannot be kept")]
    UnknownPrice {
        /// The model.
        model: String,
    },
    /// Money is limited in another currency than the model's.
    #[error("the cost limit of run {run} is in {limited}, and {model} is priced in {priced}")]
    OtherCurrency {
        /// Which.
        run: RunId,
        /// The limit's currency.
        limited: String,
        /// The model.
        model: String,
        /// Its currency.
        priced: String,
    },
    /// Money is limited, and two models are priced in two currencies.
    #[error(
        "costs cannot be limited over two currencies: the model is priced in {own}, {second} in {priced}"
    )]
    TwoCurrencies {
        /// The first one's currency.
        own: String,
        /// The second model.
        second: String,
        /// Its currency.
        priced: String,
    },
    /// There is no point of its history with this number.
    #[error("run {run} was at no point called {seq}")]
    NoSuchOperation {
        /// Which run.
        run: RunId,
        /// What was asked for.
        seq: Seq,
    },
    /// It was not planned yet.
    #[error("run {run} has no program yet")]
    NoProgram {
        /// Which.
        run: RunId,
    },
    /// Nothing was changed.
    #[error("the program of run {run} is the same as before")]
    SameProgram {
        /// Which.
        run: RunId,
    },
    /// It waits for nobody.
    #[error("run {run} asks nothing ({status})")]
    NothingAsked {
        /// Which.
        run: RunId,
        /// How it stands.
        status: &'static str,
    },
    /// The run's first record was never written.
    #[error("run {run} never started")]
    NeverStarted {
        /// Which.
        run: RunId,
    },
    /// A repository that cannot be worked on.
    #[error(transparent)]
    Existing(#[from] ExistingError),
    /// Tools that are not there.
    #[error(transparent)]
    Tools(#[from] ToolError),
    /// The domain.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The templates.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal cannot be folded.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The file store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The run cannot be found.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The file system.
    #[error("{context}: {message}")]
    Io {
        /// What was being done.
        context: String,
        /// What the system said.
        message: String,
    },
}

/// What a person orders.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The task, verbatim.
    pub task: String,
    /// The domain's name.
    pub domain: String,
    /// A directory name for the workspace; made of the task when absent.
    pub name: Option<String>,
    /// 0 asks for the most likely replies first; any other number for others, the same ones each time.
    pub seed: u64,
    /// Stop once the program is adopted.
    pub plan_only: bool,
    /// Whether code may run without a sandbox. Only ever a person's own word.
    pub unsafe_no_sandbox: bool,
    /// Whether packages that the project asks for may be installed. Only ever a person's own word, too.
    pub allow_install: bool,
    /// A program to execute instead of planning one.
    pub program: Option<Program>,
    /// A repository to work on, instead of beginning with nothing.
    pub existing: Option<Existing>,
    /// The trace that it is a part of: W3C's `traceparent` of whoever asks for it.
    pub traceparent: Option<String>,
    /// Bounds.
    pub limits: Limits,
}

/// What runs need of the world besides a model.
pub struct Machine {
    pub(crate) config: Config,
    templates: Arc<Templates>,
    state_dir: PathBuf,
    stop_after: Option<Seq>,
}

/// An order that was found to be executable, before any model is loaded.
pub struct Prepared {
    pub(crate) order: Order,
    found: Option<Found>,
    pub(crate) domain: Arc<Domain>,
    sandbox: Result<Arc<dyn Sandbox>, Refusal>,
    tools: Arc<Toolbox>,
}

/// A run found on disk that can go on.
pub struct Paused {
    pub(crate) dir: RunDir,
    journal: Arc<SqliteJournal>,
    pub(crate) state: RunState,
    domain: Arc<Domain>,
    sandbox: Result<Arc<dyn Sandbox>, Refusal>,
    tools: Arc<Toolbox>,
    said: Said,
}

/// What a person says for one process, and no file, variable or program can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Code may run without a sandbox.
    pub unsafe_no_sandbox: bool,
    /// Packages that the project asks for may be installed.
    pub allow_install: bool,
}

/// The models of a run.
pub struct ModelClients {
    /// Its own.
    pub own: Arc<dyn ModelClient>,
    /// The one that is asked where that one came to nothing.
    pub second: Option<Arc<dyn ModelClient>>,
}

/// A run that is going on in this process.
pub struct RunHandle {
    /// Its directory.
    pub dir: RunDir,
    /// Where its files appear.
    pub workspace: PathBuf,
    notices: Notices,
    wish: watch::Sender<Wish>,
    cancel: watch::Sender<bool>,
    task: JoinHandle<Result<RunState, DriveError>>,
}

fn io(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> RunError {
    let context = context.into();
    move |error| RunError::Io { context, message: error.to_string() }
}

impl Machine {
    /// A machine of a configuration.
    pub fn new(config: Config) -> Result<Self, RunError> {
        let templates = Arc::new(Templates::load(config.templates_dir().as_deref())?);
        let state_dir = config.state_dir()?;
        Ok(Self { config, templates, state_dir, stop_after: None })
    }

    /// Stops the process once the journal's record with this number is durable; for crash tests.
    pub fn stop_after(&mut self, seq: Option<Seq>) {
        self.stop_after = seq;
    }

    /// All runs on disk.
    pub fn runs(&self) -> Runs {
        Runs::below(&self.state_dir)
    }

    /// The texts.
    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// Finds out whether an order can be executed at all. Cheap: what it refuses costs no download and no call.
    pub async fn prepare(&self, order: Order) -> Result<Prepared, RunError> {
        if order.task.trim().is_empty() {
            return Err(RunError::EmptyTask);
        }
        if order.task.len() > TASK_BYTES_MAX {
            return Err(RunError::LongTask { bytes: order.task.len() });
        }
        if let Some(name) = order.name.as_ref().filter(|name| !slug::is_name(name)) {
            return Err(RunError::BadName { name: name.clone() });
        }
        if let Some(program) = &order.program {
            let found = validate(program).into_iter().chain(unusable(program));
            let problems: Vec<_> = found.map(|p| format!("{}: {} {}", p.place, p.what, p.fix)).collect();
            if !problems.is_empty() {
                return Err(RunError::BadProgram { problems });
            }
        }
        let found = order.existing.as_ref().map(existing::check).transpose()?;
        if let Some(found) = &found {
            self.workspaces_root(Some(&found.root))?;
        }
        let name = order.program.as_ref().map_or(order.domain.as_str(), |p| p.domain.as_str());
        let domain = Arc::new(Domain::load(name, &self.templates)?);
        if let Some(program) = &order.program
            && !domain.knows(&program.language)
        {
            let known: Vec<_> = domain.languages.iter().map(|l| l.name.as_str()).collect();
            let problem =
                format!("{:?} is no language of {name}. Use {}.", program.language, known.join(", "));
            return Err(RunError::BadProgram { problems: vec![problem] });
        }
        priced(&order.limits, &self.tariff(&self.config.model), &self.config.model)?;
        if let Some(second) = &self.config.second_model {
            self.same_currency(&order.limits, &self.tariff(&self.config.model), second)?;
        }
        let sandbox = open_sandbox(&domain, order.unsafe_no_sandbox).await?;
        let tools = self.toolbox().await?;
        Ok(Prepared { order, found, domain, sandbox, tools })
    }

    /// Starts a run.
    pub async fn start(
        &self,
        prepared: Prepared,
        models: ModelClients,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> Result<RunHandle, RunError> {
        let Prepared { order, found, domain, sandbox, tools } = prepared;
        let (slug, workspace) = self.free_workspace(&order, found.as_ref())?;
        let dir = self.runs().new_dir(&new_run_id());
        let journal = self.journal(&dir).await?;
        let mut store = GitStore::open(&dir.git_dir(), Some(&workspace), None)?;
        let taken = found.as_ref().zip(order.existing.as_ref());
        let taken =
            taken.map(|(found, existing)| existing::take(&mut store, found, existing, &slug)).transpose();
        if taken.is_err() {
            // What is not whole is nobody's.
            let _ = std::fs::remove_dir_all(&workspace);
            let _ = std::fs::remove_dir_all(&dir.path);
        }
        let origin = taken?;
        let tree = match &origin {
            Some(origin) => store.tree_of(&origin.base)?,
            None => store.empty_tree()?,
        };
        let workspace = std::fs::canonicalize(&workspace).map_err(io("finding the workspace"))?;
        let started = Event::RunStarted {
            unsafe_no_sandbox: order.unsafe_no_sandbox,
            allow_install: order.allow_install,
            run: dir.id.clone(),
            task: order.task.clone(),
            domain: domain.name.clone(),
            slug,
            workspace: workspace.display().to_string(),
            model: models.own.info().clone(),
            reached: self.config.model.clone(),
            tariff: Some(self.tariff(&self.config.model)),
            second: self.second(&models, self.config.second_model.as_ref()),
            limits: order.limits.clone(),
            plan_only: order.plan_only,
            seed: order.seed,
            tree,
            origin,
            traceparent: order.traceparent,
            edvac: env!("CARGO_PKG_VERSION").to_owned(),
        };
        record(journal.as_ref(), &started).await?;
        if let Some(program) = order.program {
            let why = "handed in".to_owned();
            record(journal.as_ref(), &Event::ProgramAdopted { program, version: 1, why }).await?;
        }
        let state = fold(journal.as_ref()).await?;
        self.go(dir, journal, state, store, domain, sandbox, tools, models, embedder, workspace).await
    }

    /// The tools that the configuration names, reached.
    pub async fn toolbox(&self) -> Result<Arc<Toolbox>, ToolError> {
        Ok(Arc::new(Toolbox::open(&self.config.mcp, &self.state_dir.join("mcp")).await?))
    }

    /// What a journal says of the second model.
    fn second(&self, models: &ModelClients, reached: Option<&ModelConfig>) -> Option<Box<SecondModel>> {
        let (client, reached) = models.second.as_ref().zip(reached)?;
        let (model, tariff) = (client.info().clone(), self.tariff(reached));
        Some(Box::new(SecondModel { model, reached: reached.clone(), tariff }))
    }

    /// Finds a run that can go on.
    pub async fn find_paused(&self, dir: RunDir, said: Said) -> Result<Paused, RunError> {
        let journal = self.journal(&dir).await?;
        let state = fold(journal.as_ref()).await?;
        let Some(start) = &state.start else { return Err(RunError::NeverStarted { run: dir.id }) };
        let is_given_up = state.stopped.as_ref().is_some_and(|why| !why.resumable());
        let is_cut = state.settled.values().any(|settled| settled.cut.is_some());
        if is_given_up || (state.is_over() && !is_cut) {
            return Err(RunError::Over { run: dir.id, status: state.status() });
        }
        let domain = Arc::new(Domain::load(&start.domain, &self.templates)?);
        let sandbox = open_sandbox(&domain, said.unsafe_no_sandbox).await?;
        let tools = self.toolbox().await?;
        Ok(Paused { dir, journal, state, domain, sandbox, tools, said })
    }

    /// Goes on with a run.
    pub async fn resume(
        &self,
        paused: Paused,
        terms: Terms,
        models: ModelClients,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> Result<RunHandle, RunError> {
        let Paused { dir, journal, domain, sandbox, tools, state, said } = paused;
        let Said { unsafe_no_sandbox, allow_install } = said;
        let Terms { limits, reached, tariff, second } = terms;
        let workspace = PathBuf::from(state.start.as_ref().map_or("", |s| s.workspace.as_str()));
        let store = GitStore::open(&dir.git_dir(), Some(&workspace), state.origin())?;
        let model = models.own.info().clone();
        let (tariff, second) = (Some(tariff), self.second(&models, second.as_ref()));
        let resumed =
            Event::Resumed { unsafe_no_sandbox, allow_install, limits, model, reached, tariff, second };
        record(journal.as_ref(), &resumed).await?;
        let state = fold(journal.as_ref()).await?;
        let _ = std::fs::remove_file(dir.cancel_file());
        self.go(dir, journal, state, store, domain, sandbox, tools, models, embedder, workspace).await
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where a run's parts come together")]
    async fn go(
        &self,
        dir: RunDir,
        journal: Arc<SqliteJournal>,
        state: RunState,
        store: GitStore,
        domain: Arc<Domain>,
        sandbox: Result<Arc<dyn Sandbox>, Refusal>,
        tools: Arc<Toolbox>,
        models: ModelClients,
        embedder: Option<Arc<dyn Embedder>>,
        workspace: PathBuf,
    ) -> Result<RunHandle, RunError> {
        let scratch = dir.path.join("scratch");
        // What a killed process left there belongs to nobody.
        let _ = std::fs::remove_dir_all(&scratch);
        let notices = Notices::default();
        let (wish, wishes) = watch::channel(Wish::Run);
        let (cancel, cancelled) = watch::channel(false);
        let performer = Performer {
            files: Arc::new(Mutex::new(Box::new(store) as Box<dyn FileStore>)),
            client: models.own,
            second: models.second,
            index: Arc::new(SqliteIndex::open(&dir.path.join("index.sqlite"), embedder).await?),
            templates: Arc::clone(&self.templates),
            domain,
            sandbox,
            inventories: Arc::default(),
            left: Arc::default(),
            shelf: Shelf::below(&self.state_dir),
            there: Arc::default(),
            tools,
            scratch: scratch.clone(),
            asking: Arc::default(),
            running: Arc::default(),
            notices: notices.clone(),
            cancel: cancelled,
        };
        let to_all = notices.clone();
        let place = dir.clone();
        observe::began(&dir, &notices);
        let live = tokio::spawn(LiveWriter::new(dir.live_file()).follow(notices.watch()));
        let task = tokio::spawn(async move {
            let rules = Rules { domain: &performer.domain };
            let state = drive(state, journal, &rules, &performer, wishes, &to_all).await;
            performer.tools.close().await;
            live.abort();
            let _ = std::fs::remove_file(place.live_file());
            let _ = std::fs::remove_dir_all(&scratch);
            if let Some(report) = state.as_ref().ok().and_then(Report::of) {
                write_report(&place, &report);
            }
            state
        });
        Ok(RunHandle { dir, workspace, notices, wish, cancel, task })
    }

    async fn journal(&self, dir: &RunDir) -> Result<Arc<SqliteJournal>, RunError> {
        let options = Options { clock: Arc::new(SystemClock), stop_after: self.stop_after };
        Ok(Arc::new(SqliteJournal::open(&dir.path, options).await?))
    }

    /// A directory below the workspaces root that is nobody's. A name that a person chose is taken or refused; one
    /// made of the task gets a number.
    fn free_workspace(&self, order: &Order, found: Option<&Found>) -> Result<(String, PathBuf), RunError> {
        let made = slug::slug(&order.task).unwrap_or_else(|| "project".to_owned());
        self.workspace(order.name.as_deref(), &made, found.map(|found| found.root.as_path()))
    }

    /// Where workspaces are: below the state where they would lie in the repository that is worked on.
    fn workspaces_root(&self, repository: Option<&Path>) -> Result<PathBuf, ExistingError> {
        let root = self.config.workspaces_dir();
        let Some(path) = repository else { return Ok(root) };
        let below_state = self.state_dir.join("workspaces");
        let outside = existing::outside(&[&root, &below_state], path).map(Path::to_owned);
        let lies_within = || ExistingError::Within { path: path.to_owned() };
        existing::outside(&[&self.state_dir], path).and(outside).ok_or_else(lies_within)
    }

    /// The same, of a name that a person chose or one that was made.
    pub(crate) fn workspace(
        &self,
        chosen: Option<&str>,
        made: &str,
        repository: Option<&Path>,
    ) -> Result<(String, PathBuf), RunError> {
        let root = self.workspaces_root(repository)?;
        let base = chosen.unwrap_or(made).to_owned();
        for number in 1..=SLUGS_MAX {
            let name = if number == 1 { base.clone() } else { format!("{base}-{number}") };
            let path = root.join(&name);
            std::fs::create_dir_all(&root).map_err(io(format!("making {}", root.display())))?;
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok((name, path)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    if chosen.is_some() {
                        return Err(RunError::WorkspaceExists { path });
                    }
                }
                Err(e) => return Err(io(format!("making {}", path.display()))(e)),
            }
        }
        Err(RunError::WorkspaceExists { path: root.join(base) })
    }
}

impl Prepared {
    /// What a person is to know of the repository that is worked on, a line each.
    pub fn notes(&self) -> Vec<String> {
        let parts = self.found.as_ref().zip(self.order.existing.as_ref());
        parts.map_or(Vec::new(), |(found, existing)| existing::notes(found, existing))
    }
}

impl Paused {
    /// The bounds it had.
    pub fn limits(&self) -> Limits {
        self.state.start.as_ref().map(|s| s.limits.clone()).unwrap_or_default()
    }

    /// How its model was reached.
    pub fn reached(&self) -> ModelConfig {
        self.state.start.as_ref().map(|s| s.reached.clone()).unwrap_or_default()
    }

    /// How its second model was reached, where it had one.
    pub fn second(&self) -> Option<ModelConfig> {
        Some(self.state.start.as_ref()?.second.as_ref()?.reached.clone())
    }
}

impl RunHandle {
    /// What happens from now on, for the eyes; the journal is the truth.
    pub fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// Finish the effect in progress, then stop; resumable.
    pub fn stop(&self) {
        self.wish.send_replace(Wish::Stop);
    }

    /// Stop now, also in the middle of a reply, which is lost then; resumable.
    pub fn interrupt(&self) {
        self.wish.send_replace(Wish::Stop);
        self.cancel.send_replace(true);
    }

    /// Stop for good, also in the middle of a reply.
    pub fn cancel(&self) {
        self.wish.send_replace(Wish::Cancel);
        self.cancel.send_replace(true);
    }

    /// Waits for the end and gives the state then.
    pub async fn join(&mut self) -> Result<RunState, DriveError> {
        match (&mut self.task).await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// A run that was cancelled while nobody was executing it.
pub async fn cancel_idle(dir: &RunDir) -> Result<(), RunError> {
    let journal = SqliteJournal::open(&dir.path, Options::default()).await?;
    let state = fold(&journal).await?;
    if state.is_over() || state.stopped == Some(StopReason::Cancelled) {
        return Err(RunError::Over { run: dir.id.clone(), status: state.status() });
    }
    record(&journal, &Event::Stopped { why: StopReason::Cancelled }).await
}

async fn open_sandbox(
    domain: &Domain,
    unsafe_no_sandbox: bool,
) -> Result<Result<Arc<dyn Sandbox>, Refusal>, RunError> {
    if unsafe_no_sandbox {
        return Ok(NoSandbox::open().await.map(|s| Arc::new(s) as Arc<dyn Sandbox>));
    }
    match sandbox::open().await {
        Err(refusal) if domain.runs_commands() => Err(RunError::NoSandbox(refusal)),
        other => Ok(other),
    }
}

async fn record(journal: &dyn Journal, event: &Event) -> Result<(), RunError> {
    let body = serde_json::to_value(event).map_err(DriveError::from)?;
    journal.fact(body).await?;
    Ok(())
}

/// Reports are views: one that cannot be written is made again from the journal at any time.
fn write_report(dir: &RunDir, report: &Report) {
    let write = |path: &Path, text: String| {
        if let Err(error) = std::fs::write(path, text) {
            tracing::warn!("the report {} could not be written: {error}", path.display());
        }
    };
    write(&dir.report_file(), report.markdown());
    if let Ok(json) = serde_json::to_string_pretty(report) {
        write(&dir.path.join("report.json"), json);
    }
}

/// Sortable by time, unique by a few bits of the clock and the process id.
pub(crate) fn new_run_id() -> RunId {
    let now = jiff::Timestamp::now();
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let digest = blake3::hash(format!("{nanos}-{}", std::process::id()).as_bytes());
    let time = now.strftime("%Y%m%d-%H%M%S");
    RunId(format!("{time}-{}", &digest.to_hex()[..4]))
}
