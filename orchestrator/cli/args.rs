//! The command line as data. Parsing is clap's; what the commands do is in `commands/`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use edvac_orchestrator::config::PARALLEL_MAX;
use edvac_orchestrator::price::Amount;

/// A stored-program computer whose processor is a language model.
#[derive(Debug, Parser)]
#[command(name = "edvac", version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// Configuration file to use instead of the user's own
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// No colours and no moving parts (also: NO_COLOR)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Say only what went wrong, and the result
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log what happens inside; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  edvac run \"A command-line todo app in Python, stored in JSON, with unit tests\"
  edvac run --domain book --task-file sourdough.txt
  edvac resume --last
  edvac context --last/1

Exit codes: 0 all requirements met, 1 not all met, 2 wrong use, 3 waits for your approval, 4 a limit was reached, 5 no model,
70 the machine failed, 78 no sandbox, 130 interrupted (resumable).";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a configuration file and say what to do next
    Init(Init),
    /// Find out whether this machine can run edvac, and what to mend
    Doctor(Json),
    /// Plan a task, carry the plan out, check every step
    Run(Run),
    /// Only plan a task; or show, change, compare and approve the program of a run
    Plan(Plan),
    /// List all runs
    #[command(alias = "ls")]
    Runs(Json),
    /// Where a run stands
    Status(OneRun),
    /// A run's program, or one step of it with its checks
    Show(OneRun),
    /// A run on the whole terminal, as it happens
    Watch(OneRun),
    /// Everything that happened, line by line
    Logs(OneRun),
    /// What a run, or one step of it, changed
    Diff(OneRun),
    /// What a run changed as mails, one for each commit, for `git am` and `git apply`
    Patch(OneRun),
    /// A run as one file: a book for readers, the journal for scripts, the report, or everything in an archive
    Export(Export),
    /// What was in a step's prompts, by kind, with tokens and the reason
    Context(Context),
    /// Carry a run out again from its journal alone, without a model, and compare decisions, files, commits and the ledger
    Replay(Replay),
    /// Go on with a run that stopped or died
    Resume(Resume),
    /// Finish what is in progress, then stop; `edvac resume` goes on
    Pause(OneRun),
    /// Say yes to what a run asks; `edvac resume` goes on
    Approve(OneRun),
    /// Say no to what a run asks, and why: what comes next is planned again
    Reject(Reject),
    /// Take a step back: files, program and ledger as they were before; nothing is lost
    Undo(Undo),
    /// The points that a run can be taken to, and the way there
    #[command(subcommand)]
    Op(Op),
    /// Take a run back to where a step began, and go on from there
    Retry(Resume),
    /// Copy a run as it was at some point, and go on from there on its own, with another model or program if you like
    Fork(Fork),
    /// Two runs beside each other: requirements, cost, files
    Compare(Compare),
    /// Give a run up for good
    Cancel(OneRun),
    /// The models of this machine
    #[command(subcommand)]
    Models(Models),
    /// What the local model need not compute again: snapshots of keys and values
    #[command(subcommand)]
    Kv(Kv),
    /// Show all runs in the browser, and serve the model to OpenAI-compatible clients, until Ctrl-C
    #[command(alias = "ui")]
    Serve(Serve),
    /// Let other programs start, watch and answer runs: a server of the Model Context Protocol on stdin and stdout
    Mcp(Mcp),
    /// What the machine remembers
    #[command(subcommand)]
    Memory(Memory),
    /// Measure edvac beside the same model without it
    #[command(subcommand)]
    Bench(Bench),
    /// The configuration in force, and where each value is from
    Config(Json),
    /// Completions for a shell, to be saved where it looks for them
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// The manual page
    Man,
}

/// Output for scripts.
#[derive(Args, Clone, Copy, Debug)]
pub struct Json {
    /// JSON for scripts, on stdout
    #[arg(long)]
    pub json: bool,
}

/// `edvac replay`
#[derive(Args, Debug)]
pub struct Replay {
    #[command(flatten)]
    pub run: OneRun,
    /// Write the files that come out into this directory, which must be empty or not exist
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `edvac export`
#[derive(Args, Debug)]
pub struct Export {
    #[command(flatten)]
    pub run: OneRun,
    /// As what; when absent, a book as an EPUB, and what is no book as a zip
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The file to write, `-` for stdout; named after the book, or the run, when absent
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Forms of a run as one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A book for e-readers
    Epub,
    /// A book for a browser, in one page that needs nothing else
    Html,
    /// The journal, a line of JSON a record, as `edvac logs --json` prints it
    Jsonl,
    /// The report
    Md,
    /// The files, the report and the journal in one archive
    Zip,
    /// The trace, sent to the OpenTelemetry collector that OTEL_EXPORTER_OTLP_ENDPOINT names
    Otlp,
    /// The trace as a file of OTLP's JSON
    OtlpJson,
}

/// `edvac init`
#[derive(Args, Debug)]
pub struct Init {
    /// Replace a configuration file that exists
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub json: Json,
}

/// Which model.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelArgs {
    /// A name of `edvac models ls`, a GGUF file, or the endpoint's name for the model
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Base URL of an OpenAI-compatible endpoint; the model is asked there
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// local, openai, scripted:FILE or recorded:FILE
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<String>,
}

/// A model besides.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::struct_field_names, reason = "the flags are called like this")]
pub struct SecondArgs {
    /// Another model, asked at a step where the first came to nothing
    #[arg(long, value_name = "NAME")]
    pub second_model: Option<String>,
    /// Base URL of the endpoint where that one is asked
    #[arg(long, value_name = "URL")]
    pub second_base_url: Option<String>,
    /// Its provider: local, openai, scripted:FILE or recorded:FILE
    #[arg(long, value_name = "PROVIDER")]
    pub second_provider: Option<String>,
}

/// Bounds of a run.
#[derive(Args, Clone, Debug, Default)]
pub struct LimitArgs {
    /// Stop before more tokens than these are sent and written; 0 is unlimited
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<u64>,
    /// Stop after these minutes of work, when the reply in progress has ended; 0 is unlimited
    #[arg(long, value_name = "N")]
    pub max_minutes: Option<u64>,
    /// Stop before the run costs more than this, in the currency of the model's price; 0 is unlimited
    #[arg(long, value_name = "AMOUNT")]
    pub max_cost: Option<Amount>,
    /// Stop before more model calls than these; 0 is unlimited
    #[arg(long, value_name = "N")]
    pub max_calls: Option<u64>,
    /// Stop before more bytes of files than these are written; 0 is unlimited
    #[arg(long, value_name = "N")]
    pub max_bytes: Option<u64>,
    /// Attempts a step has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: Option<u32>,
    /// Replies an attempt has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub turns: Option<u32>,
    /// How often what is left is planned again where not all requirements were met
    #[arg(long, value_name = "N")]
    pub replans: Option<u32>,
    /// Repairs of single functions an attempt has, after its tests failed
    #[arg(long, value_name = "N")]
    pub repairs: Option<u32>,
    /// Steps that are carried out at the same time, where none needs what another one writes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(PARALLEL_MAX)))]
    pub parallel: Option<u32>,
}

/// What is to be done.
#[derive(Args, Clone, Debug)]
pub struct TaskArgs {
    /// The task in your words; `-` reads it from stdin
    #[arg(value_name = "TASK")]
    pub task: Option<String>,
    /// A file with the task
    #[arg(long, value_name = "FILE", conflicts_with = "task")]
    pub task_file: Option<PathBuf>,
    /// A git repository to work on. It is never written to: the work is on a branch of a copy
    #[arg(long = "in", value_name = "PATH")]
    pub existing: Option<PathBuf>,
    /// Take what is not committed there, too, as a commit of its own
    #[arg(long, requires = "existing")]
    pub include_changes: bool,
    /// codebase, book, custom, or one of yours; guessed from the task when absent
    #[arg(long, value_name = "NAME")]
    pub domain: Option<String>,
    /// Name of the workspace's directory; made of the task when absent
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Other replies than the most likely ones, the same for the same number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub second: SecondArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub json: Json,
}

/// `edvac bench`
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Let edvac, a plain tool loop and a single prompt do the same tasks with the same model, and execute hidden checks on what
    /// they leave behind
    Tasks(BenchTasks),
    /// The same for single functions, in HumanEval's form: pass@1 is the share of requirements that passed
    Functions(BenchTasks),
}

/// Most runs at the same time.
const JOBS_MAX: i64 = 64;

/// `edvac bench tasks`, `edvac bench functions`
#[derive(Args, Debug)]
pub struct BenchTasks {
    /// A directory of tasks, each a folder with task.md and checks.toml; or a file of functions, a line of JSON each
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Only the first so many
    #[arg(long, value_name = "N")]
    pub first: Option<usize>,
    /// Only tasks of this name; can be given more than once
    #[arg(long, value_name = "TASK")]
    pub only: Vec<String>,
    /// Only this arm: prompt, loop or edvac; can be given more than once
    #[arg(long = "arm", value_name = "ARM", value_parser = ["prompt", "loop", "edvac"])]
    pub arms: Vec<String>,
    /// Runs of each task and arm
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// Runs at the same time. Their replies are computed together, so that all are done sooner and each takes longer: its
    /// seconds are not those of a run alone
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=JOBS_MAX))]
    pub jobs: u16,
    /// A line for each result; what is in it already is not done again
    #[arg(long, value_name = "FILE", default_value = "bench.jsonl")]
    pub out: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub json: Json,
}

/// `edvac run`
#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    pub task: TaskArgs,
    /// A program (TOML) to carry out instead of planning one; a task beside it stands in place of the program's own
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Only say what the run will take: at least, probably and at most; no model is asked
    #[arg(long = "dry-run")]
    pub dry: bool,
    /// Watch it in your browser; the dashboard ends with the run
    #[arg(long, conflicts_with = "dry")]
    pub open: bool,
    #[command(flatten)]
    pub said: SaidArgs,
}

/// What no configuration file, variable or program can say.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct SaidArgs {
    /// Install packages that the project names and its domain allows, without running anything of them; commands see them
    /// read-only, and still have no network
    #[arg(long)]
    pub allow_install: bool,
    /// DANGEROUS: run what the model writes as you, with your files and your network; it is recorded and reported
    #[arg(long)]
    pub unsafe_no_sandbox: bool,
}

/// `edvac plan`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Plan {
    /// What to do with the program of a run
    #[command(subcommand)]
    pub program: Option<ProgramCommand>,
    #[command(flatten)]
    pub task: TaskArgs,
    /// Write the program to this file, to be edited and given to `edvac run --program`
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace that file if it exists
    #[arg(long, requires = "out")]
    pub force: bool,
}

/// What can be done with a run's program.
#[derive(Debug, Subcommand)]
pub enum ProgramCommand {
    /// The program in force, as a file that `edit --file` and `run --program` take
    Show(OneRun),
    /// Change the program of a run that is not going on: only changed steps, and those that read what they write, run again
    Edit(EditProgram),
    /// What changed between two versions of the program
    Diff(DiffProgram),
    /// Say yes to what a run asks
    Approve(OneRun),
}

/// `edvac plan edit`
#[derive(Args, Debug)]
pub struct EditProgram {
    #[command(flatten)]
    pub run: OneRun,
    /// The changed program; without it, your editor ($VISUAL, $EDITOR) opens
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "changed by hand")]
    pub why: String,
}

/// `edvac plan diff`
#[derive(Args, Debug)]
pub struct DiffProgram {
    #[command(flatten)]
    pub run: OneRun,
    /// The older version; the one before the newer when absent
    #[arg(long, value_name = "VERSION")]
    pub from: Option<u32>,
    /// The newer version; the last when absent
    #[arg(long, value_name = "VERSION")]
    pub to: Option<u32>,
}

/// `edvac reject`
#[derive(Args, Debug)]
pub struct Reject {
    #[command(flatten)]
    pub run: OneRun,
    /// What is wrong, for the planner
    #[arg(long, value_name = "TEXT")]
    pub why: String,
}

/// `edvac undo`
#[derive(Args, Debug)]
pub struct Undo {
    /// RUN, or RUN/STEP to take everything back since that step began
    #[command(flatten)]
    pub run: OneRun,
    /// So many operations
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
}

/// `edvac op`
#[derive(Debug, Subcommand)]
pub enum Op {
    /// Every point of a run's history; what is not in force was taken back
    Log(OneRun),
    /// Take a run to a point, also forward to one that was taken back
    Restore {
        /// The point's number
        #[arg(value_name = "POINT")]
        point: u64,
        /// The run; the youngest when absent
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        #[command(flatten)]
        json: Json,
    },
}

/// `edvac fork`
#[derive(Args, Debug)]
pub struct Fork {
    #[command(flatten)]
    pub run: OneRun,
    /// Where this step began; the last point of the run when absent
    #[arg(long, value_name = "STEP")]
    pub from: Option<u32>,
    /// Name of the new workspace's directory
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Change the program in your editor before it goes on
    #[arg(long)]
    pub edit_prompt: bool,
    /// Only make the fork; `edvac resume` goes on
    #[arg(long)]
    pub paused: bool,
    #[command(flatten)]
    pub said: SaidArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub second: SecondArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// `edvac compare`
#[derive(Args, Debug)]
pub struct Compare {
    /// The one run
    #[arg(value_name = "RUN")]
    pub a: String,
    /// The other run
    #[arg(value_name = "RUN")]
    pub b: String,
    /// Their files' differences, too
    #[arg(long)]
    pub diff: bool,
    #[command(flatten)]
    pub json: Json,
}

/// A run, or a step of one.
#[derive(Args, Clone, Debug)]
pub struct OneRun {
    /// The run's id or its beginning, `RUN/STEP` for one step; the youngest run when absent
    #[arg(value_name = "RUN[/STEP]", allow_hyphen_values = true)]
    pub run: Option<String>,
    /// The youngest run
    #[arg(long)]
    pub last: bool,
    #[command(flatten)]
    pub json: Json,
}

/// `edvac context`
#[derive(Args, Debug)]
pub struct Context {
    #[command(flatten)]
    pub run: OneRun,
    /// The texts too, as the model got them
    #[arg(long)]
    pub text: bool,
}

/// `edvac resume`
#[derive(Args, Debug)]
pub struct Resume {
    #[command(flatten)]
    pub run: OneRun,
    #[command(flatten)]
    pub said: SaidArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub second: SecondArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// `edvac serve`
#[derive(Args, Debug)]
pub struct Serve {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Address to serve at; one that other machines reach needs a token
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<IpAddr>,
    /// Port to serve at; 0 is any that is free
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// The environment variable with the token that every request must carry
    #[arg(long, value_name = "VARIABLE")]
    pub token_env: Option<String>,
    /// Serve no model, only the dashboard: the model of a run that begins there is opened then
    #[arg(long)]
    pub no_model: bool,
    /// Open the dashboard in your browser
    #[arg(long)]
    pub open: bool,
    /// Serve nothing: print the description of the dashboard's API, OpenAPI 3.1, and end
    #[arg(long)]
    pub openapi: bool,
    #[command(flatten)]
    pub json: Json,
}

/// `edvac mcp`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Mcp {
    #[command(subcommand)]
    pub command: Option<McpCommand>,
    #[command(flatten)]
    pub model: ModelArgs,
}

/// `edvac mcp ls`
#[derive(Debug, Subcommand)]
pub enum McpCommand {
    /// Tools that workers may call: start every server that the configuration names, and ask what it has
    Ls(Json),
}

/// `edvac models`
#[derive(Debug, Subcommand)]
pub enum Models {
    /// Models that can be had, and those that are here
    Ls(Json),
    /// Fetch a model and check its digest
    Pull {
        /// Its name; the default model when absent
        name: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Remove a model's file
    Rm {
        /// Its name
        name: String,
        #[command(flatten)]
        json: Json,
    },
    /// Check a model's digest again
    Verify {
        /// Its name; every model that is here when absent
        name: Option<String>,
        #[command(flatten)]
        json: Json,
    },
}

/// `edvac kv`
#[derive(Debug, Subcommand)]
pub enum Kv {
    /// List the snapshots, the most recently used first
    Ls(Json),
    /// Remove all snapshots; a model that is running computes again what it misses
    Flush(Json),
    /// Read every snapshot and check it; damaged ones are removed, and then the exit code is 1
    Verify(Json),
}

/// `edvac memory`
#[derive(Debug, Subcommand)]
pub enum Memory {
    /// Search the files of a run as its workers do
    Search {
        /// What to look for
        query: String,
        /// The run; the youngest when absent
        #[arg(long)]
        run: Option<String>,
        /// Most pieces
        #[arg(long, default_value_t = 6)]
        hits: usize,
        #[command(flatten)]
        json: Json,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
