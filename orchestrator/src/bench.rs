//! Measuring edvac against itself with parts of it taken away: the same model, the same tasks, the same tokens.
//!
//! A task is a folder with `task.md`, which is all that anybody who works on it sees, and `checks.toml`, which is executed on
//! what they left behind. Neither planner nor worker sees a check.

pub mod functions;

use std::path::Path;
use std::sync::{Arc, Mutex};

use edvac_memory::program::{CheckKind, Instruction, Program, Requirement};
use edvac_memory::store::{FileStore, GitStore};
use serde::{Deserialize, Serialize};
use similar::TextDiff;

use crate::check::{Counted, Ground, Inventories, run_check};
use crate::control::event::Limits;
use crate::control::{RunState, StopReason};
use crate::dependencies::Supply;
use crate::domain::Domain;
use crate::ledger::Standing;
use crate::place::RunDir;
use crate::run::{Order, RunError};
use crate::sandbox::{Refusal, Sandbox};

/// The domain of all tasks.
const DOMAIN: &str = "codebase";
/// Replies that the tool loop has. Its tokens end first.
const LOOP_TURNS_MAX: u32 = 40;
/// Tokens of the one reply that has to hold a whole project; beside the prompt they fit into a window of 8,192.
const PROMPT_REPLY_TOKENS_MAX: u32 = 4096;
/// A claim is about the requirement that its sentence is most like, if it is at least so much like it.
const ALIKE_MIN: f32 = 0.5;

/// Why tasks cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub struct TaskError {
    /// The file.
    pub file: String,
    /// What is wrong.
    pub message: String,
}

/// A task and what is executed to find out what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its folder's name.
    pub name: String,
    /// What is asked.
    pub text: String,
    /// Each of its requirements with checks that nobody sees who works on it.
    pub requirements: Vec<Asked>,
    /// What edvac carries out instead of planning, where there is nothing to plan.
    pub program: Option<Program>,
}

/// A requirement of a task.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// `R1`, …
    pub id: String,
    /// Its sentence in the task.
    pub text: String,
    /// All must pass.
    #[serde(rename = "check")]
    pub checks: Vec<CheckKind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Checks {
    #[serde(rename = "requirement")]
    requirements: Vec<Asked>,
}

/// Who works on a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The model, asked once for the whole project.
    Prompt,
    /// The model with files, search and commands, until it says that it is done or its tokens end; no program, no checks.
    Loop,
    /// edvac.
    Edvac,
}

impl Arm {
    /// All of them, the plainest first.
    pub const ALL: [Self; 3] = [Self::Prompt, Self::Loop, Self::Edvac];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Loop => "loop",
            Self::Edvac => "edvac",
        }
    }
}

/// What came of one task, one arm and one seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Result {
    /// The task.
    pub task: String,
    /// Who worked on it.
    pub arm: Arm,
    /// Its seed.
    pub seed: u64,
    /// The run, for `edvac show`.
    pub run: String,
    /// The model.
    pub model: String,
    /// How the run stands.
    pub status: String,
    /// Each requirement and what its checks found.
    pub requirements: Vec<Judged>,
    /// What was said of requirements, and whether it is so.
    pub claims: Vec<Claim>,
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Of these computed.
    pub computed_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Model calls.
    pub calls: u64,
    /// Time worked.
    pub worked_ms: u64,
}

/// A requirement after its checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Its id.
    pub id: String,
    /// Whether every check passed.
    pub passed: bool,
    /// Why not, of the first that did not.
    pub why: String,
}

/// What a run says of a requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The sentence of the run's own requirement.
    pub said: String,
    /// How it says it stands.
    pub standing: Standing,
    /// The task's requirement that it is most like.
    pub about: Option<String>,
    /// Whether that one's checks pass.
    pub is_so: Option<bool>,
}

/// Reads every task of a directory, by name.
pub fn read(dir: &Path) -> std::result::Result<Vec<Task>, TaskError> {
    let error = |file: &Path, message: String| TaskError { file: file.display().to_string(), message };
    let text = |file: &Path| std::fs::read_to_string(file).map_err(|e| error(file, e.to_string()));
    let entries = std::fs::read_dir(dir).map_err(|e| error(dir, e.to_string()))?;
    let mut tasks = Vec::new();
    for entry in entries.flatten().filter(|entry| entry.path().join("task.md").is_file()) {
        let file = entry.path().join("checks.toml");
        let checks: Checks = toml::from_str(&text(&file)?).map_err(|e| error(&file, e.to_string()))?;
        if let Some(empty) = checks.requirements.iter().find(|r| r.checks.is_empty()) {
            return Err(error(&file, format!("{} has no check", empty.id)));
        }
        tasks.push(Task {
            name: entry.file_name().to_string_lossy().into_owned(),
            text: text(&entry.path().join("task.md"))?,
            requirements: checks.requirements,
            program: None,
        });
    }
    tasks.sort_by(|a, b| a.name.cmp(&b.name));
    if tasks.is_empty() {
        return Err(error(dir, "no folder in it has a task.md".to_owned()));
    }
    Ok(tasks)
}

/// A run that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// The task.
    pub task: &'a Task,
    /// Who works on it.
    pub arm: Arm,
    /// Its seed.
    pub seed: u64,
}

/// The runs of every task, arm (all of them where none is named) and seed that are not among the results: seed by seed, so that a
/// measurement that is broken off has all tasks before it has any twice.
pub fn open<'a>(tasks: &'a [Task], arms: &[String], seeds: u64, known: &[Result]) -> Vec<Open<'a>> {
    let is_asked = |arm: &Arm| arms.is_empty() || arms.iter().any(|name| name == arm.name());
    let arms: Vec<_> = Arm::ALL.into_iter().filter(is_asked).collect();
    let of_task = |task, seed| arms.iter().map(move |&arm| Open { task, arm, seed });
    let all = (1..=seeds).flat_map(|seed| tasks.iter().flat_map(move |task| of_task(task, seed)));
    let is_known = |open: &Open<'_>| {
        known.iter().any(|r| (&r.task, r.arm, r.seed) == (&open.task.name, open.arm, open.seed))
    };
    all.filter(|open| !is_known(open)).collect()
}

/// The order by which an arm works on a task. All have the same tokens; the plain arms are programs of one step without checks.
pub fn order(task: &Task, arm: Arm, seed: u64, domain: &Domain, limits: &Limits) -> Order {
    let plain = |turns_max, reply_tokens_max| {
        let limits =
            Limits { turns_max, attempts_max: 1, repairs_max: 0, reply_tokens_max, ..limits.clone() };
        (Some(one_step(task, domain)), limits)
    };
    let (program, limits) = match arm {
        Arm::Prompt => plain(1, PROMPT_REPLY_TOKENS_MAX.max(limits.reply_tokens_max)),
        Arm::Loop => plain(LOOP_TURNS_MAX, limits.reply_tokens_max),
        Arm::Edvac => (task.program.clone(), limits.clone()),
    };
    Order { task: task.text.clone(), domain: DOMAIN.to_owned(), seed, program, limits, ..Order::default() }
}

fn one_step(task: &Task, domain: &Domain) -> Program {
    let id = "R1".into();
    Program {
        title: task.name.clone(),
        task: None,
        domain: DOMAIN.to_owned(),
        language: language(&task.text, domain),
        requirements: vec![Requirement {
            id,
            text: "Everything that the task asks for is there.".to_owned(),
        }],
        instructions: vec![Instruction {
            id: edvac_memory::ids::InstructionId(1),
            title: "The whole task".to_owned(),
            text: "Write the whole project that the task describes, with all of its files.".to_owned(),
            covers: vec!["R1".into()],
            attempts_max: 1,
            ..Instruction::default()
        }],
    }
}

/// The language that a task names first.
fn language(text: &str, domain: &Domain) -> String {
    let text = text.to_lowercase();
    let named = domain.languages.iter().filter_map(|l| Some((text.find(&l.name)?, &l.name)));
    named.min().map_or_else(|| domain.language("").to_owned(), |(_, name)| name.clone())
}

/// Executes a task's checks on what a run left behind, each in a fresh copy.
pub async fn judge(
    task: &Task,
    dir: &RunDir,
    state: &RunState,
    domain: &Domain,
    sandbox: std::result::Result<&dyn Sandbox, &Refusal>,
) -> std::result::Result<Vec<Judged>, RunError> {
    let Some(tree) = &state.tree else { return Err(RunError::NeverStarted { run: dir.id.clone() }) };
    let files: Arc<Mutex<Box<dyn FileStore>>> =
        Arc::new(Mutex::new(Box::new(GitStore::view(&dir.git_dir())?)));
    let scratch = tempfile::tempdir().map_err(|e| RunError::Io {
        context: "making a scratch directory".to_owned(),
        message: e.to_string(),
    })?;
    let export = |to: &Path| crate::perform::locked(&files).export(tree, to);
    let language = state.program.as_ref().map_or("", |program| program.language.as_str());
    let (counted, supply, inventories) = (Counted::default(), Supply::default(), Inventories::default());
    let ground = Ground {
        store: files.as_ref(),
        tree,
        language,
        sandbox,
        export: &export,
        scratch: scratch.path(),
        counted: &counted,
        inventories: &inventories,
        supply: &supply,
        domain,
    };
    let mut judged = Vec::new();
    for asked in &task.requirements {
        let mut why = None;
        for kind in &asked.checks {
            let check = edvac_memory::program::Check { kind: kind.clone(), covers: Vec::new() };
            let report = run_check(&check, &ground).await;
            if !report.verdict.is_passed() {
                why = Some(format!("{}: {}", crate::ledger::describe(kind), report.verdict.reason()));
                break;
            }
        }
        judged.push(Judged { id: asked.id.clone(), passed: why.is_none(), why: why.unwrap_or_default() });
    }
    Ok(judged)
}

/// What a run says of the task's requirements, and whether it is so. The plain arms say nothing but that they are done.
pub fn claims(task: &Task, state: &RunState, judged: &[Judged]) -> Vec<Claim> {
    let Some(ledger) = &state.ledger else { return Vec::new() };
    let passed = |id: &str| judged.iter().find(|j| j.id == id).map(|j| j.passed);
    ledger
        .entries
        .iter()
        .map(|entry| {
            let ratio = |asked: &Asked| TextDiff::from_words(&asked.text, &entry.text).ratio();
            let best = task.requirements.iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
            let about = best.filter(|asked| ratio(asked) >= ALIKE_MIN).map(|asked| asked.id.clone());
            let is_so = about.as_deref().and_then(passed);
            Claim { said: entry.text.clone(), standing: entry.standing, about, is_so }
        })
        .collect()
}

/// All about one run.
pub fn result(task: &Task, arm: Arm, seed: u64, state: &RunState, judged: Vec<Judged>) -> Result {
    let spent = state.spent();
    let start = state.start.as_ref();
    Result {
        task: task.name.clone(),
        arm,
        seed,
        run: start.map_or_else(String::new, |start| start.run.to_string()),
        model: start.map_or_else(String::new, |start| start.model.model.clone()),
        status: match &state.stopped {
            Some(StopReason::TokenLimit { .. }) => "out of tokens".to_owned(),
            Some(StopReason::CostLimit { .. }) => "out of money".to_owned(),
            Some(StopReason::CallLimit { .. }) => "out of calls".to_owned(),
            Some(StopReason::ByteLimit { .. }) => "out of bytes".to_owned(),
            Some(StopReason::TimeLimit { .. }) => "out of time".to_owned(),
            _ => state.status().to_owned(),
        },
        claims: if arm == Arm::Edvac { claims(task, state, &judged) } else { Vec::new() },
        requirements: judged,
        prompt_tokens: spent.prompt_tokens,
        computed_tokens: spent.prompt_tokens.saturating_sub(spent.reused_tokens),
        completion_tokens: spent.completion_tokens,
        calls: spent.calls,
        worked_ms: spent.worked_ms,
    }
}

/// One line of the table: an arm over all its runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// The arm.
    pub arm: &'static str,
    /// Runs.
    pub runs: usize,
    /// Requirements whose checks passed, of all; in percent.
    pub passed_percent: f64,
    /// Runs in which all passed.
    pub whole: usize,
    /// Requirements that were said to be met and could be held against the task's, and how many of them are.
    pub met_and_so: (usize, usize),
    /// Tokens sent and written, a run.
    pub tokens: u64,
    /// Seconds of work, a run.
    pub seconds: f64,
}

/// The table of many results.
pub fn table(results: &[Result]) -> Vec<Row> {
    Arm::ALL
        .into_iter()
        .map(|arm| {
            let of: Vec<_> = results.iter().filter(|r| r.arm == arm).collect();
            let all = of.iter().map(|r| r.requirements.len()).sum::<usize>().max(1);
            let passed = of.iter().flat_map(|r| &r.requirements).filter(|j| j.passed).count();
            let met = of.iter().flat_map(|r| &r.claims).filter(|c| c.standing == Standing::Met);
            let met: Vec<_> = met.filter_map(|claim| claim.is_so).collect();
            let mean = |sum: u64| sum / of.len().max(1) as u64;
            Row {
                arm: arm.name(),
                runs: of.len(),
                passed_percent: passed as f64 * 100.0 / all as f64,
                whole: of.iter().filter(|r| r.requirements.iter().all(|j| j.passed)).count(),
                met_and_so: (met.iter().filter(|so| **so).count(), met.len()),
                tokens: mean(of.iter().map(|r| r.prompt_tokens + r.completion_tokens).sum()),
                seconds: mean(of.iter().map(|r| r.worked_ms).sum()) as f64 / 1000.0,
            }
        })
        .filter(|row| row.runs > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, checks: &str) {
        std::fs::create_dir_all(dir.join(name)).unwrap();
        std::fs::write(dir.join(name).join("task.md"), "A Rust tool, not a Python one.").unwrap();
        std::fs::write(dir.join(name).join("checks.toml"), checks).unwrap();
    }

    const CHECKS: &str = "[[requirement]]\nid = \"R1\"\ntext = \"It adds.\"\n[[requirement.check]]\nkind = \"runs\"\ncommand = \"true\"\n";

    fn codebase() -> Domain {
        Domain::load("codebase", &edvac_agents::templates::Templates::load(None).unwrap()).unwrap()
    }

    #[test]
    fn tasks_are_folders() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap_err().to_string().contains("no folder"));
        write(dir.path(), "b", CHECKS);
        write(dir.path(), "a", CHECKS);
        let tasks = read(dir.path()).unwrap();
        assert_eq!(tasks.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        write(dir.path(), "c", &CHECKS.replace("command", "comand"));
        assert!(read(dir.path()).unwrap_err().to_string().contains("comand"));
        write(dir.path(), "c", "[[requirement]]\nid = \"R1\"\ntext = \"x\"\ncheck = []\n");
        assert!(read(dir.path()).unwrap_err().to_string().contains("R1 has no check"));
    }

    #[test]
    fn every_arm_has_the_same_tokens() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a", CHECKS);
        let task = &read(dir.path()).unwrap()[0];
        let limits = Limits { tokens_max: Some(9000), ..Limits::default() };
        for arm in Arm::ALL {
            let order = order(task, arm, 3, &codebase(), &limits);
            assert_eq!((order.limits.tokens_max, order.seed), (Some(9000), 3));
            assert_eq!(order.program.is_none(), arm == Arm::Edvac);
            if let Some(program) = order.program {
                assert_eq!(program.language, "rust");
                assert!(program.instructions[0].checks.is_empty(), "nobody tells it what is checked");
                assert_eq!(edvac_memory::program::validate::validate(&program), []);
            }
        }
    }

    #[test]
    fn the_table_says_what_was_found() {
        let judged = |passed| Judged { id: "R1".into(), passed, why: String::new() };
        let of = |arm, passed: &[bool], so: &[bool]| Result {
            task: "a".into(),
            arm,
            seed: 1,
            run: String::new(),
            model: String::new(),
            status: "done".into(),
            requirements: passed.iter().map(|p| judged(*p)).collect(),
            claims: so
                .iter()
                .map(|so| Claim {
                    said: String::new(),
                    standing: Standing::Met,
                    about: None,
                    is_so: Some(*so),
                })
                .collect(),
            prompt_tokens: 10,
            computed_tokens: 5,
            completion_tokens: 5,
            calls: 1,
            worked_ms: 2000,
        };
        let rows = table(&[
            of(Arm::Edvac, &[true, true], &[true, false]),
            of(Arm::Edvac, &[true, false], &[]),
            of(Arm::Prompt, &[false, false], &[]),
        ]);
        assert_eq!(rows.len(), 2, "no loop was run");
        assert_eq!((rows[0].arm, rows[0].passed_percent), ("prompt", 0.0));
        assert_eq!((rows[1].passed_percent, rows[1].whole, rows[1].met_and_so), (75.0, 1, (1, 2)));
        assert_eq!((rows[1].tokens, rows[1].seconds), (15, 2.0));
    }
}
