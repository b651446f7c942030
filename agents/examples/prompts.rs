//! Tries the prompts on a real model: plans a task, then has the first step written, with the grammars in force.
//!
//! `cargo run -p edvac-agents --example prompts -- MODEL.gguf "TASK" [DOMAIN] [WINDOW]`

use std::error::Error;
use std::io::Write;
use std::path::Path;

use edvac_agents::client::local::LocalClient;
use edvac_agents::client::{Delta, ModelClient, ModelReply, ModelRequest, Sampling};
use edvac_agents::prompt::messages;
use edvac_agents::protocol::blocks;
use edvac_agents::roles::{planner, worker};
use edvac_agents::templates::Templates;
use edvac_memory::context::{Fitted, Fragment, TokenCounter};
use edvac_memory::ids::InstructionId;
use edvac_memory::program::{Check, CheckKind, Instruction, Program, Requirement};
use edvac_runtime::EngineOptions;
use tokio::sync::watch;

struct Counter<'a>(&'a LocalClient);

impl TokenCounter for Counter<'_> {
    fn count(&self, text: &str) -> usize {
        self.0.count_tokens(text)
    }
}

async fn say(
    client: &LocalClient,
    fragments: Vec<Fragment>,
    grammar: String,
) -> Result<ModelReply, Box<dyn Error>> {
    for fragment in &fragments {
        eprintln!("{:>6} tokens  {:?} {}", fragment.tokens, fragment.kind, fragment.source);
    }
    let request = ModelRequest {
        messages: messages(&Fitted { fragments, ..Fitted::default() }),
        tokens_max: 2048,
        sampling: Sampling { repetition_penalty: 1.05, ..Sampling::default() },
        grammar: Some(grammar),
        stop: vec![],
        tools: false,
        called: Vec::new(),
        loop_rewinds_max: 6,
        sentences_once: false,
    };
    let sink = |delta: Delta| {
        if let Delta::Text { text, .. } = delta {
            print!("{text}");
            let _ = std::io::stdout().flush();
        }
    };
    let reply = client.complete(&request, &sink, watch::channel(false).1).await?;
    println!("\n----\n{:?} {:?}\n", reply.finish, reply.usage);
    Ok(reply)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, task, rest @ ..] = &arguments[..] else {
        return Err("usage: prompts MODEL TASK [DOMAIN] [WINDOW]".into());
    };
    let domain = rest.first().map_or("codebase", String::as_str);
    let window = rest.get(1).map(|w| w.parse()).transpose()?.unwrap_or(8192);
    let options = EngineOptions { window_tokens_max: Some(window), ..EngineOptions::default() };
    let client = LocalClient::open(Path::new(model), &options)?;
    let templates = Templates::load(None)?;

    let languages = ["python", "javascript", "rust"].map(str::to_owned);
    let prose = domain == "book";
    let rules = planner::PlanRules::new(domain, if prose { &[] } else { &languages }, prose, window)
        .with(planner::given(task));
    let prompt = planner::fragments(task, &rules, &templates, &Counter(&client))?;
    let reply = say(&client, prompt, planner::grammar(&rules)).await?;
    let draft = planner::understand(&reply.text, reply.finish, &rules.given.requirements)
        .map_err(|problems| problems.join("\n"))?;

    let program = program(draft, domain);
    let instruction = &program.instructions[0];
    let view = worker::WorkerView {
        task,
        program: &program,
        instruction,
        attempt: 1,
        grammar: false,
        can_run: false,
        calls: &[],
        tests_run_by: if prose { "" } else { "python3 -m unittest -v" },
        listing: "(no files yet)",
        files: &[],
        existing: false,
        retrieved: &[],
        summary: None,
    };
    let prompt = worker::fragments(&view, &templates, &Counter(&client))?;
    let grammar = worker::grammar(&worker::GrammarOptions {
        writes: instruction.writes.clone(),
        run: false,
        ..Default::default()
    });
    let reply = say(&client, prompt, grammar).await?;
    println!("{:#?}", blocks::understand(&reply.text, reply.finish).problems);
    Ok(())
}

fn program(draft: planner::PlanDraft, domain: &str) -> Program {
    let check = |kind| Check { kind, covers: vec![] };
    let instructions = draft.steps.into_iter().zip(1..).map(|(step, number)| {
        let parses = step.writes.iter().map(|path| check(CheckKind::Parses { path: path.clone() }));
        let tests = (domain == "codebase").then(|| check(CheckKind::Tests));
        Instruction {
            id: InstructionId(number),
            checks: parses.chain(tests).collect(),
            title: step.title,
            text: step.text,
            covers: step.covers,
            reads: step.reads,
            writes: step.writes,
            retires: vec![],
            attempts_max: 3,
            ..Instruction::default()
        }
    });
    Program {
        title: draft.title,
        task: None,
        domain: domain.to_owned(),
        language: draft.language,
        requirements: draft.requirements.into_iter().map(|(id, text)| Requirement { id, text }).collect(),
        instructions: instructions.collect(),
    }
}
