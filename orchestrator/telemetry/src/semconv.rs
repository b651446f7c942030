//! The names of spans, attributes and metrics: OpenTelemetry's conventions for generative AI, and edvac's own beside them.
//!
//! The conventions are in development and were broken by their first release of their own. By default the names are those that
//! backends read today (schema 1.42 of the general conventions); `OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental` asks
//! for the newer ones. No other file of this crate spells a name.

/// Which names are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Those that backends read today.
    #[default]
    Established,
    /// Those of the conventions' own first release.
    Latest,
}

/// The value of `OTEL_SEMCONV_STABILITY_OPT_IN`, a list with commas, that asks for [`Names::Latest`].
pub const LATEST: &str = "gen_ai_latest_experimental";

impl Names {
    /// The attribute that names a workflow.
    pub fn workflow_name(self) -> &'static str {
        match self {
            Self::Established => "gen_ai.workflow.name",
            Self::Latest => AGENT_NAME,
        }
    }

    /// The histogram of how long model calls take.
    pub fn call_duration(self) -> &'static str {
        match self {
            Self::Established => "gen_ai.client.operation.duration",
            Self::Latest => "gen_ai.client.inference.duration",
        }
    }
}

// What is done.
/// The attribute that says what is done.
pub const OPERATION_NAME: &str = "gen_ai.operation.name";
/// A run, as far as one process carries it out.
pub const INVOKE_WORKFLOW: &str = "invoke_workflow";
/// A conversation of a role.
pub const INVOKE_AGENT: &str = "invoke_agent";
/// A call of a model.
pub const CHAT: &str = "chat";
/// Anything that is executed.
pub const EXECUTE_TOOL: &str = "execute_tool";
/// A prompt that is put together from what is stored.
pub const RETRIEVAL: &str = "retrieval";

// Attributes of the conventions.
/// The run's id.
pub const CONVERSATION_ID: &str = "gen_ai.conversation.id";
/// Who makes the reply.
pub const PROVIDER_NAME: &str = "gen_ai.provider.name";
/// The role.
pub const AGENT_NAME: &str = "gen_ai.agent.name";
/// The tool.
pub const TOOL_NAME: &str = "gen_ai.tool.name";
/// What is searched.
pub const DATA_SOURCE_ID: &str = "gen_ai.data_source.id";
/// What went wrong, in a word of a small set.
pub const ERROR_TYPE: &str = "error.type";
/// The model that was asked.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// Most tokens of the reply.
pub const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// The seed.
pub const REQUEST_SEED: &str = "gen_ai.request.seed";
/// The model that answered.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Why the reply ended.
pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Seconds until the first token.
pub const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// Text.
pub const OUTPUT_TYPE: &str = "gen_ai.output.type";
/// Tokens sent, cached ones included.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Tokens written.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Of the tokens sent, those that were not computed again.
pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Of a measured number of tokens, whether they were sent (`input`) or written (`output`).
pub const TOKEN_TYPE: &str = "gen_ai.token.type";

// Content, which is off unless it is asked for.
/// What the model was told.
pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// What it replied.
pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
/// The rules that it was given.
pub const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
/// What a tool was asked.
pub const TOOL_CALL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
/// What came of it.
pub const TOOL_CALL_RESULT: &str = "gen_ai.tool.call.result";
/// What a retrieval found.
pub const RETRIEVAL_DOCUMENTS: &str = "gen_ai.retrieval.documents";

// edvac's own attributes.
/// How the run stands, as `edvac runs` says it.
pub const RUN_STATUS: &str = "edvac.run.status";
/// Why it stopped, in a word of a small set.
pub const RUN_STOP_REASON: &str = "edvac.run.stop_reason";
/// Its domain.
pub const RUN_DOMAIN: &str = "edvac.run.domain";
/// Its seed.
pub const RUN_SEED: &str = "edvac.run.seed";
/// The version of edvac that began it.
pub const RUN_VERSION: &str = "edvac.run.version";
/// The task; content.
pub const RUN_TASK: &str = "edvac.run.task";
/// Requirements that are met.
pub const REQUIREMENTS_MET: &str = "edvac.requirements.met";
/// Requirements in all.
pub const REQUIREMENTS_COUNT: &str = "edvac.requirements.count";
/// The step's number.
pub const STEP_ID: &str = "edvac.step.id";
/// Its title; content.
pub const STEP_TITLE: &str = "edvac.step.title";
/// How it ended: `finished` or `unfinished`.
pub const STEP_OUTCOME: &str = "edvac.step.outcome";
/// The attempt, from 1.
pub const ATTEMPT: &str = "edvac.attempt";
/// The turn of a conversation, from 0.
pub const TURN: &str = "edvac.turn";
/// The key of the effect in the journal.
pub const EFFECT_KEY: &str = "edvac.effect.key";
/// The record of the journal with which the span ended.
pub const JOURNAL_SEQ: &str = "edvac.journal.seq";
/// What a call cost, in units of the currency.
pub const COST: &str = "edvac.cost";
/// The currency.
pub const COST_CURRENCY: &str = "edvac.cost.currency";
/// Whether the endpoint counted no tokens, so that they are estimated.
pub const USAGE_ESTIMATED: &str = "edvac.usage.estimated";
/// Of the cached tokens, those that were read from disk.
pub const USAGE_RESTORED: &str = "edvac.usage.restored_tokens";
/// Fragments of a prompt.
pub const PROMPT_FRAGMENTS: &str = "edvac.prompt.fragments";
/// Of them, those that the memory index found.
pub const PROMPT_RETRIEVED: &str = "edvac.prompt.retrieved";
/// Tokens of a prompt.
pub const PROMPT_TOKENS: &str = "edvac.prompt.tokens";
/// Fragments that did not fit.
pub const PROMPT_LEFT_OUT: &str = "edvac.prompt.left_out";
/// Edits that were applied.
pub const EDITS_APPLIED: &str = "edvac.edits.applied";
/// What was refused of a reply.
pub const EDITS_REFUSED: &str = "edvac.edits.refused";
/// Bytes of the files that were written.
pub const BYTES_WRITTEN: &str = "edvac.bytes_written";
/// Checks that were executed together.
pub const CHECKS_COUNT: &str = "edvac.checks.count";
/// Of them passed.
pub const CHECKS_PASSED: &str = "edvac.checks.passed";
/// The kind of a check.
pub const CHECK_KIND: &str = "edvac.check.kind";
/// What it found.
pub const CHECK_VERDICT: &str = "edvac.check.verdict";
/// Tests that a check's runner named.
pub const TESTS_COUNT: &str = "edvac.tests.count";
/// Of them passed.
pub const TESTS_PASSED: &str = "edvac.tests.passed";
/// The exit status of a command.
pub const EXIT_STATUS: &str = "process.exit.code";
/// Packages that were installed.
pub const PACKAGES_COUNT: &str = "edvac.packages.count";
/// Files that were there before the run.
pub const FILES_COUNT: &str = "edvac.files.count";
/// Files or checks for which a step does not fit onto what came between.
pub const CONFLICTS_COUNT: &str = "edvac.conflicts.count";
/// A commit.
pub const COMMIT_ID: &str = "vcs.ref.head.revision";
/// Files that it changes.
pub const COMMIT_FILES: &str = "edvac.commit.files";
/// A version of the program.
pub const PROGRAM_VERSION: &str = "edvac.program.version";
/// Its steps.
pub const PROGRAM_STEPS: &str = "edvac.program.steps";

// edvac's own spans and events.
/// The span of a step.
pub const STEP: &str = "edvac.step";
/// The span of an attempt at one.
pub const ATTEMPT_SPAN: &str = "edvac.attempt";
/// A program came into force.
pub const PROGRAM_ADOPTED: &str = "edvac.program.adopted";
/// A step's files were committed.
pub const COMMITTED: &str = "edvac.committed";
/// What is searched for a prompt: the files, notes and summaries of the run.
pub const WORKSPACE: &str = "workspace";

// Metrics of the conventions.
/// Histogram of tokens a call, by type.
pub const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
/// Counter of tokens sent.
pub const INFERENCE_INPUT_TOKENS: &str = "gen_ai.client.inference.usage.input_tokens";
/// Counter of tokens written.
pub const INFERENCE_OUTPUT_TOKENS: &str = "gen_ai.client.inference.usage.output_tokens";
/// Counter of tokens that were not computed again.
pub const INFERENCE_CACHE_READ_TOKENS: &str = "gen_ai.client.inference.usage.cache_read.input_tokens";
/// Histogram of tokens sent a call.
pub const CALL_INPUT_TOKENS: &str = "gen_ai.client.inference.operation.input_tokens";
/// Histogram of tokens written a call.
pub const CALL_OUTPUT_TOKENS: &str = "gen_ai.client.inference.operation.output_tokens";
/// Histogram buckets of tokens.
pub const TOKEN_BOUNDS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// Histogram buckets of seconds.
pub const SECONDS_BOUNDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

// edvac's own metrics.
/// Runs that ended or stopped, by how they stand.
pub const RUNS: &str = "edvac.runs";
/// Steps that ended, by outcome.
pub const STEPS: &str = "edvac.steps";
/// Checks that were executed, by kind and verdict.
pub const CHECKS: &str = "edvac.checks";
/// What calls cost, by currency, in units of it.
pub const COST_TOTAL: &str = "edvac.cost";
/// The part of a call's tokens that was not computed again, 0 to 1.
pub const CACHED_RATIO: &str = "edvac.client.cached_input.ratio";
/// Histogram buckets of parts.
pub const RATIO_BOUNDS: [f64; 11] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// The provider as the conventions name it: an OpenAI-compatible endpoint is `openai`, edvac's own runtime is `edvac`.
pub fn provider(own: &str) -> &str {
    if own == "local" { "edvac" } else { own }
}
