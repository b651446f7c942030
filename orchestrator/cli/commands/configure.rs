//! `init`, `config`, `completions`, `man`.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use edvac_orchestrator::config;
use serde_json::json;

use super::{SCHEMA_VERSION, print_json, say};
use crate::args::{Cli, Init};
use crate::failure::{Failure, Outcome};

/// What `edvac init` writes: every key that people change first, with its meaning, none of them in force.
const TEMPLATE: &str = r#"# edvac's configuration. A line without its `#` is in force; `edvac config` shows all keys.

[model]
# provider = "local"                # or "openai" for any OpenAI-compatible endpoint
# name = "qwen2.5-coder-1.5b"       # a name of `edvac models ls`, a GGUF file, or the endpoint's name
# base_url = "http://127.0.0.1:8080/v1"
# api_key_env = "OPENAI_API_KEY"    # the variable that holds the key; the key itself never stands here
# window_tokens = 8192
# device = "cpu"                    # the local model's; "cuda" and "metal" need a build with that feature
# threads = 0                       # that compute it; 0 is one for each processor

# [second_model]                    # asked at a step where that one came to nothing; keys as in [model]; an example
# provider = "local"
# name = "qwen2.5-coder-7b"

[kv]
# memory_mib = 2048                 # what the local model remembers of prompts and replies, in memory
# format = "f16"                    # or "q8_0": half the memory, rounded a little more
# disk_mib = 8192                   # and on disk, for the next process; 0 writes nothing

[limits]
# attempts_max = 3                  # a step's attempts
# turns_max = 6                     # an attempt's replies
# repairs_max = 24                  # an attempt's repairs of single functions, after its tests failed
# replans_max = 1                   # new plans of what was not met at the end
# tokens_max = 0                    # a run's tokens; 0 is unlimited
# minutes_max = 0                   # a run's minutes; 0 is unlimited
# cost_max = 0                      # what a run may cost, in its model's currency; 0 is unlimited
# calls_max = 0                     # a run's model calls; 0 is unlimited
# bytes_max = 0                     # bytes of files that a run writes; 0 is unlimited

# [prices."name of the model"]      # what an endpoint's model costs, for a million tokens each; an example
# prompt_per_million = 1.00
# cached_prompt_per_million = 0.10  # prompt tokens that the endpoint has in its cache
# completion_per_million = 4.00
# currency = "USD"

[server]                            # edvac serve
# bind = "127.0.0.1"                # an address that other machines reach needs a token
# port = 8765
# token_env = ""                    # the variable that holds the token

[paths]
# workspaces = "workspaces"
"#;

pub fn init(file: Option<&Path>, args: &Init) -> Outcome {
    let path = match file {
        Some(path) => path.to_owned(),
        None => config::file_default()?,
    };
    let written = args.force || !path.exists();
    if written {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|e| Failure::file(dir, &e))?;
        }
        std::fs::write(&path, TEMPLATE).map_err(|e| Failure::file(&path, &e))?;
        eprintln!("{} is written; every line of it is optional.", path.display());
    } else {
        eprintln!("{} is there already; `edvac init --force` writes it anew.", path.display());
    }
    let next = "Next: edvac doctor, then edvac run \"A todo app for the command line in Python\"";
    Ok(say(args.json, next, || json!({ "path": path, "written": written })))
}

pub fn show(file: Option<&Path>, json: bool) -> Outcome {
    let (_, origins) = config::load_with_origins(file)?;
    if json {
        return Ok(print_json(&json!({ "schema_version": SCHEMA_VERSION, "values": origins })));
    }
    let width = origins.iter().map(|o| o.key.len()).max().unwrap_or(0);
    for origin in origins {
        println!("{:width$}  {:<28}  ({})", origin.key, origin.value, origin.origin);
    }
    Ok(0)
}

pub fn completions(shell: Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "edvac", &mut script);
    // A reader that went away has what it wanted.
    let _ = std::io::stdout().write_all(&script);
    0
}

pub fn man() -> Outcome {
    let mut page = Vec::new();
    let broken = |e: std::io::Error| Failure::machine(format!("the manual page: {e}"));
    clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(broken)?;
    std::io::stdout().write_all(&page).map_err(broken)?;
    Ok(0)
}
