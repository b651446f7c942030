//! What the machine says back to a worker or planner: one template for each situation.
//!
//! The functions give one paragraph each; [`join`] makes one message of those that apply.

use edvac_memory::ids::RequirementId;
use edvac_memory::index::Hit;
use edvac_memory::program::{CheckKind, Requirement};
use edvac_memory::verdict::{CheckReport, Limit, TestOutcome};
use serde_json::json;

use super::words;
use super::worker::FileView;
use crate::templates::{TemplateError, Templates};

/// Most lines of a file that one `read` shows; the rest can be asked for.
pub const READ_LINES_MAX: usize = 200;
/// Most bytes of the same. A file that a program wrote may have one line of a megabyte.
const READ_BYTES_MAX: usize = 12_000;
/// Most lines of a command's output.
const OUTPUT_LINES_MAX: usize = 60;
/// Most lines of one failed check.
const DETAIL_LINES_MAX: usize = 50;
/// Most characters of one line of output.
const LINE_CHARS_MAX: usize = 300;
/// Most problems of one reply that are named; the first ones are the cause of the others often enough.
const PROBLEMS_MAX: usize = 8;
/// Most failed checks that are shown.
const FAILURES_MAX: usize = 5;

type Text = Result<String, TemplateError>;

/// One message of the paragraphs that apply.
pub fn join(paragraphs: &[String]) -> String {
    let kept: Vec<_> = paragraphs.iter().map(|p| p.trim()).filter(|p| !p.is_empty()).collect();
    kept.join("\n\n")
}

/// The answer to `read`: the lines asked for, at most [`READ_LINES_MAX`], and no more bytes of them than `bytes_max`.
pub fn read(
    templates: &Templates,
    path: &str,
    text: &str,
    lines: Option<(u32, u32)>,
    bytes_max: usize,
) -> Text {
    let (first, last) = lines.map_or((1, usize::MAX), |(first, last)| (first as usize, last as usize));
    let last = last.min(first.saturating_add(READ_LINES_MAX - 1));
    let view = FileView::lines(path, &text.replace("\r\n", "\n"), (first, last), "asked for");
    let bytes_max = bytes_max.min(READ_BYTES_MAX);
    if view.text.len() <= bytes_max {
        return view.render(templates);
    }
    let mut bytes = 0;
    let fits = |line: &&str| {
        bytes += line.len() + 1;
        bytes <= bytes_max
    };
    let whole = view.text.lines().take_while(fits).count();
    // Of a line that is too long by itself, its beginning is shown.
    let text = match whole {
        0 => view.text.chars().take(bytes_max).collect::<String>() + " (cut here)",
        _ => first_lines(&view.text, whole),
    };
    FileView { line_last: view.line_first + whole.max(1) - 1, text, ..view }.render(templates)
}

fn first_lines(text: &str, count: usize) -> String {
    text.lines().take(count).collect::<Vec<_>>().join("\n")
}

/// What a tool of another program answered, or why it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called<'a> {
    /// Its name.
    pub tool: &'a str,
    /// What it said.
    pub text: &'a str,
    /// Whether it did not do what was asked.
    pub failed: bool,
}

/// The answer to `call`, with no more bytes of what the tool said than `bytes_max`.
pub fn called(templates: &Templates, called: &Called<'_>, bytes_max: usize) -> Text {
    let mut bytes = 0;
    let lines: Vec<_> = called.text.trim().lines().collect();
    let fits = |line: &&&str| {
        bytes += line.len() + 1;
        bytes <= bytes_max
    };
    let whole = lines.iter().take_while(fits).count();
    // Of a line that is too long by itself, its beginning is shown.
    let (text, shown) = match (whole, lines.first()) {
        (0, Some(line)) => (line.chars().take(bytes_max).collect::<String>() + " (cut here)", 1),
        _ => (lines[..whole].join("\n"), whole),
    };
    let view = json!({
        "tool": called.tool, "failed": called.failed, "lines_left_out": lines.len() - shown,
        "fence": words::fence(&text), "text": text,
    });
    templates.render("prompts/feedback/call.md", &view)
}

/// The answer to `search`.
pub fn searched(templates: &Templates, query: &str, hits: &[Hit]) -> Text {
    let hits: Vec<_> = hits
        .iter()
        .map(|hit| {
            json!({
                "path": hit.path, "line_first": hit.line_first, "line_last": hit.line_last,
                "fence": words::fence(&hit.text), "text": hit.text.trim_end_matches('\n'),
            })
        })
        .collect();
    templates.render("prompts/feedback/search.md", &json!({ "query": query, "hits": hits }))
}

/// What a command did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran<'a> {
    /// The command line, as it was asked for.
    pub command: &'a str,
    /// Its exit status; none when a signal ended it.
    pub exit_status: Option<i32>,
    /// The limit it was stopped by.
    pub limit: Option<Limit>,
    /// What it printed, both streams.
    pub output: &'a str,
}

/// What a limit did, as the end of a sentence about the command.
fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::WallTime => "did not end in time and was stopped",
        Limit::CpuTime => "used up its processor time and was stopped",
        Limit::Memory => "ran out of memory",
        Limit::Processes => "started too many processes or threads",
        Limit::FileSize => "wrote a file that is too large",
        Limit::DiskSpace => "ran out of disk space",
        Limit::Output => "printed too much and was stopped",
    }
}

/// The answer to `run`.
pub fn ran(templates: &Templates, ran: &Ran<'_>) -> Text {
    let lines: Vec<_> = ran.output.trim().lines().map(short_line).collect();
    let left_out = lines.len().saturating_sub(OUTPUT_LINES_MAX);
    let output = lines[left_out..].join("\n");
    let view = json!({
        "command": short_line(ran.command), "limit": ran.limit.map(limit).unwrap_or_default(),
        "exit_status": ran.exit_status.map(|s| s.to_string()).unwrap_or_default(),
        "lines_left_out": left_out, "fence": words::fence(&output), "output": output,
    });
    templates.render("prompts/feedback/run.md", &view)
}

/// Nothing of the reply was used: problems of the protocol or of the store.
pub fn refused(templates: &Templates, problems: &[String]) -> Text {
    templates.render("prompts/feedback/refused.md", &json!({ "problems": first_problems(problems) }))
}

/// A read, a search or a command that could not be done; the rest of the reply was.
pub fn not_done(templates: &Templates, problems: &[String]) -> Text {
    templates.render("prompts/feedback/not_done.md", &json!({ "problems": first_problems(problems) }))
}

/// Edits were made; said only where something else is answered too.
pub fn applied(templates: &Templates, applied: &[String]) -> Text {
    templates.render("prompts/feedback/applied.md", &json!({ "applied": applied }))
}

/// Checks that do not hold, with what they found. Those that passed are not spoken of.
pub fn failed(templates: &Templates, reports: &[CheckReport], language: &str) -> Text {
    let failures: Vec<_> = reports
        .iter()
        .filter(|report| !report.verdict.is_passed())
        .map(|report| (report, report.verdict.reason()))
        .take(FAILURES_MAX)
        .map(|(report, reason)| {
            let detail: Vec<_> =
                report.detail.trim().lines().take(DETAIL_LINES_MAX).map(short_line).collect();
            let detail = detail.join("\n");
            json!({
                "must": must(report, language), "by": command(report),
                "reason": sentence(reason), "fence": words::fence(&detail), "detail": detail,
            })
        })
        .collect();
    templates.render("prompts/feedback/failed.md", &json!({ "failures": failures }))
}

/// All tests passed, but none that ran names these requirements, except `hollow` ones, whose passing shows nothing.
pub fn unproven(
    templates: &Templates,
    ids: &[RequirementId],
    all: &[Requirement],
    hollow: &[TestOutcome],
    language: &str,
) -> Text {
    let requirements: Vec<_> = words::requirements(all, Some(ids))
        .into_iter()
        .map(|r| {
            let test = words::test_name(language, &RequirementId(r.id.clone()));
            json!({ "id": r.id, "text": r.text, "test": test })
        })
        .collect();
    let hollow = hollow.iter().take(FAILURES_MAX);
    let hollow: Vec<_> = hollow.map(|t| json!({ "name": t.name, "flaw": t.flaw })).collect();
    templates
        .render("prompts/feedback/unproven.md", &json!({ "requirements": requirements, "hollow": hollow }))
}

/// The same reply came before in this attempt.
pub fn repeated(templates: &Templates) -> Text {
    templates.render("prompts/feedback/repeated.md", &json!({}))
}

/// The reply had thoughts only: no change, no question, no claim to be done. `writes` are the step's files.
pub fn idle(templates: &Templates, writes: &[String]) -> Text {
    templates.render("prompts/feedback/idle.md", &json!({ "writes": writes }))
}

/// So many replies in a row changed no file. `writes` are the step's.
pub fn unchanged(templates: &Templates, replies: usize, writes: &[String]) -> Text {
    templates.render("prompts/feedback/unchanged.md", &json!({ "replies": replies, "writes": writes }))
}

/// A plan that cannot be used, one sentence for each thing that is wrong.
pub fn plan_refused(templates: &Templates, problems: &[String]) -> Text {
    templates.render("prompts/feedback/plan_refused.md", &json!({ "problems": first_problems(problems) }))
}

fn first_problems(problems: &[String]) -> &[String] {
    &problems[..problems.len().min(PROBLEMS_MAX)]
}

fn short_line(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.trim_end().to_owned(),
    }
}

/// What must hold, where the reason alone might not say it; what tests say speaks for itself.
fn must(report: &CheckReport, language: &str) -> String {
    match report.check.kind {
        CheckKind::Tests => String::new(),
        ref kind => words::check(kind, &report.check.covers, language, ""),
    }
}

/// The command line as a person would write it, where it is one that a person would.
fn command(report: &CheckReport) -> String {
    let plain = report.command.iter().all(|a| !a.is_empty() && !a.contains(char::is_whitespace));
    if plain { report.command.join(" ") } else { String::new() }
}

/// With a capital letter, unless it begins with a name of the program, and a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let first = text.split_whitespace().next().unwrap_or_default().trim_end_matches([':', ',']);
    if first.contains(['_', '.', '/', '`']) {
        return if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") };
    }
    let mut chars = text.chars();
    let capital: String = chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default();
    if capital.ends_with(['.', '!', '?']) { capital } else { capital + "." }
}
