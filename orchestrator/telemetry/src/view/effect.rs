//! The span of one effect, and what its result says about it.

use edvac_agents::client::ModelReply;
use edvac_memory::context::{Fitted, FragmentKind};
use edvac_memory::ids::EffectKey;
use edvac_memory::program::Found;
use edvac_memory::verdict::{CheckReport, Outcome, Verdict};
use edvac_orchestrator::control::Event;
use edvac_orchestrator::control::budget::Reserve;
use edvac_orchestrator::control::effect::Site;
use edvac_orchestrator::control::event::ToolCalled;
use opentelemetry::trace::{SpanId, SpanKind};
use opentelemetry::{Array, Value};
use serde_json::json;

use super::View;
use super::open::{Open, Parent};
use crate::content::{self, Talk};
use crate::ids::span_of;
use crate::measure::{Call, Measure};
use crate::semconv as name;

/// Millionths in a unit of a currency.
const MICROS: f64 = 1_000_000.0;

/// An effect that is being performed.
pub(super) struct Pending {
    open: Open,
    site: Site,
    /// Of a call: which model is asked.
    is_second: Option<bool>,
}

impl View {
    /// The span of an effect, if it has one: what only records a decision has none.
    pub(super) fn begin(
        &self,
        key: &EffectKey,
        site: Site,
        what: &str,
        above: SpanId,
        intent: &serde_json::Value,
    ) -> Option<Pending> {
        let (operation, of) = match what {
            "call" => (name::CHAT, String::new()),
            "assemble" => (name::RETRIEVAL, name::WORKSPACE.to_owned()),
            "check" | "check_merged" | "check_all" => (name::EXECUTE_TOOL, "check".to_owned()),
            "act" | "survey" | "weigh" | "install" | "merge" => (name::EXECUTE_TOOL, what.to_owned()),
            _ => return None,
        };
        let reserve = intent.get("reserve").and_then(|r| serde_json::from_value::<Reserve>(r.clone()).ok());
        let reserve = reserve.unwrap_or_default();
        let model = self.known.model(reserve.is_second).map(|(model, _)| model);
        let of = model.filter(|_| what == "call").map_or(of, |model| model.model.clone());
        let mut open = self.new_span("effect", Parent::Own(above), format!("{operation} {of}"));
        open.say(name::OPERATION_NAME, operation);
        open.say(name::EFFECT_KEY, key.to_string());
        if let Some(id) = site.instruction {
            open.say(name::STEP_ID, i64::from(id.0));
        }
        match operation {
            name::CHAT => {
                if let Some(model) = model {
                    // What another process computes is a client's call; our own runtime is not.
                    open.kind =
                        if model.provider == "openai" { SpanKind::Client } else { SpanKind::Internal };
                    open.say(name::PROVIDER_NAME, name::provider(&model.provider).to_owned());
                    open.say(name::REQUEST_MODEL, model.model.clone());
                }
                open.say(name::REQUEST_MAX_TOKENS, int(reserve.completion_tokens));
                if let (Some(purpose), Some(turn)) = (site.purpose, site.turn) {
                    open.say(name::REQUEST_SEED, purpose.seed(turn, self.known.seed).cast_signed());
                    open.say(name::TURN, i64::from(turn));
                }
                open.say(name::OUTPUT_TYPE, "text");
            }
            name::RETRIEVAL => open.say(name::DATA_SOURCE_ID, name::WORKSPACE),
            _ => open.say(name::TOOL_NAME, of),
        }
        Some(Pending { open, site, is_second: (what == "call").then_some(reserve.is_second) })
    }

    /// It came to nothing.
    pub(super) fn fail(&mut self, mut pending: Pending, at_ms: i64, error: &str) {
        pending.open.fail(error);
        if let Some(is_second) = pending.is_second {
            let call = self.call(&pending.open, is_second, None, at_ms, Some(error.to_owned()));
            self.seen.measures.extend(call.map(Measure::Call));
        }
        self.close_span(pending.open, Some(at_ms), None);
    }

    /// Its result is there.
    pub(super) fn complete(&mut self, mut pending: Pending, event: &Event) {
        let now_ms = self.now_ms;
        let open = &mut pending.open;
        match event {
            Event::Assembled { fitted, .. } => say_prompt(open, fitted, self.options.content),
            Event::Replied { reply, .. } => self.say_reply(&mut pending, reply),
            Event::Overflowed { .. } => return self.fail(pending, now_ms, "overflow"),
            Event::Acted { applied, refused, bytes_written, answer, called, .. } => {
                self.say_called(open, called);
                open.say(name::EDITS_APPLIED, count(applied));
                open.say(name::EDITS_REFUSED, count(refused));
                open.say(name::BYTES_WRITTEN, int(*bytes_written));
                if self.options.content {
                    let result = json!({ "applied": applied, "refused": refused, "answer": answer });
                    open.say(name::TOOL_CALL_RESULT, content::cut(&result.to_string()));
                }
            }
            Event::Checked { reports, .. }
            | Event::MergeChecked { reports, .. }
            | Event::FinalChecked { reports } => self.say_checks(open, reports),
            Event::Surveyed { survey } => {
                open.say(name::FILES_COUNT, i64::try_from(survey.files.len()).unwrap_or(i64::MAX));
                self.say_checks(open, survey.tests.as_slice());
            }
            Event::Weighed { found, report, .. } => {
                if let (true, Found::Items(items)) = (self.options.content, found) {
                    open.say(name::TOOL_CALL_RESULT, content::cut(&json!(items).to_string()));
                }
                self.say_checks(open, report.as_slice());
            }
            Event::Installed { packages, exit_status, fault, command, output, .. } => {
                open.say(name::PACKAGES_COUNT, count(packages));
                if let Some(status) = exit_status {
                    open.say(name::EXIT_STATUS, i64::from(*status));
                }
                if self.options.content {
                    open.say(name::TOOL_CALL_ARGUMENTS, content::cut(&command.join(" ")));
                    open.say(name::TOOL_CALL_RESULT, content::cut(output));
                }
                if fault.is_some() {
                    open.fail("install");
                }
            }
            Event::Conflicted { conflicts, .. } => {
                open.say(name::CONFLICTS_COUNT, count(conflicts));
                open.fail("conflict");
            }
            _ => {}
        }
        self.close_span(pending.open, Some(now_ms), None);
    }

    fn say_reply(&mut self, pending: &mut Pending, reply: &ModelReply) {
        let (now_ms, open) = (self.now_ms, &mut pending.open);
        let usage = &reply.usage;
        let finish = word(&json!(reply.finish), "");
        open.say(name::RESPONSE_MODEL, reply.model.clone());
        open.say(name::FINISH_REASONS, Value::Array(Array::String(vec![finish.clone().into()])));
        open.say(name::INPUT_TOKENS, int(usage.prompt_tokens));
        open.say(name::OUTPUT_TOKENS, int(usage.completion_tokens));
        open.say(name::CACHE_READ_TOKENS, int(usage.reused_tokens));
        if usage.restored_tokens > 0 {
            open.say(name::USAGE_RESTORED, int(usage.restored_tokens));
        }
        if usage.prefill_ms > 0 {
            open.say(name::TIME_TO_FIRST_CHUNK, usage.prefill_ms as f64 / 1000.0);
        }
        if usage.estimated {
            open.say(name::USAGE_ESTIMATED, true);
        }
        let call = self.call(open, pending.is_second.unwrap_or_default(), Some(reply), now_ms, None);
        if let Some((amount, currency)) = call.as_ref().and_then(|call| call.cost.clone()) {
            open.say(name::COST, amount);
            open.say(name::COST_CURRENCY, currency);
        }
        self.seen.measures.extend(call.map(Measure::Call));
        if !self.options.content {
            return;
        }
        open.say(name::OUTPUT_MESSAGES, content::output(&reply.text, &finish));
        let Some(talk) = pending.site.purpose.and_then(|of| self.talks.get_mut(&of.to_string())) else {
            return;
        };
        let (system, input) = talk.messages();
        open.say(name::SYSTEM_INSTRUCTIONS, system);
        open.say(name::INPUT_MESSAGES, input);
        talk.replied(&reply.text);
    }

    /// What is counted of a call that ended.
    fn call(
        &self,
        open: &Open,
        is_second: bool,
        reply: Option<&ModelReply>,
        at_ms: i64,
        error: Option<String>,
    ) -> Option<Call> {
        let (model, tariff) = self.known.model(is_second)?;
        let cost = reply.and_then(|reply| {
            let micros = tariff.cost_micros(&reply.usage)?;
            Some((micros as f64 / MICROS, tariff.currency()?.to_owned()))
        });
        Some(Call {
            provider: name::provider(&model.provider).to_owned(),
            request_model: model.model.clone(),
            response_model: reply.map(|reply| reply.model.clone()),
            seconds: (at_ms - open.start_ms) as f64 / 1000.0,
            usage: reply.map(|reply| reply.usage),
            cost,
            error,
        })
    }

    /// One span a check below the one of all. They run one after the other; when each began is not recorded, and is taken to be when
    /// the one before it ended.
    fn say_checks(&mut self, open: &mut Open, reports: &[CheckReport]) {
        let now_ms = self.now_ms;
        open.say(name::CHECKS_COUNT, count(reports));
        let passed = reports.iter().filter(|report| report.verdict.is_passed()).count();
        open.say(name::CHECKS_PASSED, i64::try_from(passed).unwrap_or(i64::MAX));
        let mut start_ms = open.start_ms;
        for (number, report) in reports.iter().enumerate() {
            let kind = word(&json!(report.check.kind), "kind");
            let id = span_of(&self.run, self.seq, &format!("check/{number}"));
            let text = format!("{} {kind}", name::EXECUTE_TOOL);
            let mut check = Open::new(id, Parent::Own(open.id), text, SpanKind::Internal, start_ms);
            check.say(name::CONVERSATION_ID, self.run.to_string());
            check.say(name::OPERATION_NAME, name::EXECUTE_TOOL);
            check.say(name::TOOL_NAME, kind.clone());
            check.say(name::CHECK_KIND, kind.clone());
            let verdict = verdict_of(&report.verdict);
            check.say(name::CHECK_VERDICT, verdict);
            if !report.tests.is_empty() {
                let passed = report.tests.iter().filter(|test| test.outcome == Outcome::Passed).count();
                check.say(name::TESTS_COUNT, count(&report.tests));
                check.say(name::TESTS_PASSED, i64::try_from(passed).unwrap_or(i64::MAX));
            }
            if let Some(status) = report.exit_status {
                check.say(name::EXIT_STATUS, i64::from(status));
            }
            if self.options.content {
                check.say(name::TOOL_CALL_ARGUMENTS, content::cut(&report.command.join(" ")));
                let result = format!("{}\n{}", report.verdict.reason(), report.detail);
                check.say(name::TOOL_CALL_RESULT, content::cut(result.trim()));
            }
            if !report.verdict.is_passed() {
                check.fail(verdict);
            }
            let took_ms = i64::try_from(report.duration_ms).unwrap_or(i64::MAX);
            let end_ms = start_ms.saturating_add(took_ms).min(now_ms);
            self.close_span(check, Some(end_ms), None);
            start_ms = end_ms;
            self.seen.measures.push(Measure::Check { kind, verdict });
        }
    }

    /// One span a call of a tool of another program, below the one of the reply that asked for it. They are called one after the other;
    /// when each began is not recorded, and is taken to be when the one before it ended.
    fn say_called(&mut self, open: &Open, called: &[ToolCalled]) {
        let mut start_ms = open.start_ms;
        for (number, call) in called.iter().enumerate() {
            let id = span_of(&self.run, self.seq, &format!("called/{number}"));
            let text = format!("{} {}", name::EXECUTE_TOOL, call.tool);
            let mut span = Open::new(id, Parent::Own(open.id), text, SpanKind::Client, start_ms);
            span.say(name::CONVERSATION_ID, self.run.to_string());
            span.say(name::OPERATION_NAME, name::EXECUTE_TOOL);
            span.say(name::TOOL_NAME, call.tool.clone());
            if self.options.content {
                let arguments = serde_json::Value::Object(call.arguments.clone()).to_string();
                span.say(name::TOOL_CALL_ARGUMENTS, content::cut(&arguments));
            }
            if call.failed {
                span.fail("tool");
            }
            let took_ms = i64::try_from(call.duration_ms).unwrap_or(i64::MAX);
            let end_ms = start_ms.saturating_add(took_ms).min(self.now_ms);
            self.close_span(span, Some(end_ms), None);
            start_ms = end_ms;
        }
    }

    /// Keeps what a later call of the conversation is told, where that is asked for.
    pub(super) fn remember(&mut self, site: Site, event: &Event) {
        let (true, Some(purpose)) = (self.options.content, site.purpose) else { return };
        let of = purpose.to_string();
        match event {
            Event::Assembled { fitted, .. } => {
                self.talks.insert(of, Talk::begin(fitted));
            }
            Event::Acted { answer: Some(answer), .. }
            | Event::Checked { answer: Some(answer), .. }
            | Event::PlanRefused { answer, .. } => {
                if let Some(talk) = self.talks.get_mut(&of) {
                    talk.answered(answer);
                }
            }
            _ => {}
        }
    }
}

fn say_prompt(open: &mut Open, fitted: &Fitted, with_content: bool) {
    let retrieved = fitted.fragments.iter().filter(|f| f.kind == FragmentKind::Retrieved).count();
    open.say(name::PROMPT_FRAGMENTS, count(&fitted.fragments));
    open.say(name::PROMPT_RETRIEVED, i64::try_from(retrieved).unwrap_or(i64::MAX));
    open.say(
        name::PROMPT_TOKENS,
        i64::try_from(fitted.fragments.iter().map(|f| f.tokens).sum::<usize>()).unwrap_or(i64::MAX),
    );
    open.say(name::PROMPT_LEFT_OUT, count(&fitted.left_out));
    if with_content {
        let documents = fitted.fragments.iter().map(|f| {
            json!({ "id": f.source, "kind": word(&json!(f.kind), ""), "reason": f.reason, "tokens": f.tokens })
        });
        let documents = serde_json::Value::Array(documents.collect());
        open.say(name::RETRIEVAL_DOCUMENTS, content::cut(&documents.to_string()));
    }
}

/// A verdict in a word of a small set: which limit stopped a check is in its reason.
fn verdict_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed { .. } => "failed",
        Verdict::Integrity { .. } => "integrity",
        Verdict::Flaky { .. } => "flaky",
        Verdict::Stopped { .. } => "stopped",
        Verdict::NoEvidence { .. } => "no_evidence",
    }
}

/// The name of a variant as the journal spells it: the field `tag` of what it is written as, or all of it.
pub(super) fn word(written: &serde_json::Value, tag: &str) -> String {
    let word = if tag.is_empty() { Some(written) } else { written.get(tag) };
    word.and_then(|word| word.as_str()).unwrap_or("unknown").to_owned()
}

/// A count as attributes have it.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count<T>(all: &[T]) -> i64 {
    i64::try_from(all.len()).unwrap_or(i64::MAX)
}
