mod plan;

use plan::Plan;
use std::process::ExitCode;

const COMMANDS: [&str; 6] = ["order", "times", "total", "critical", "ready", "users"];

fn names(names: Vec<String>) -> String {
    if names.is_empty() {
        "none".to_string()
    } else {
        names.join("\n")
    }
}

fn answer(command: &str, file: &str, rest: &[String]) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|_| format!("cannot read {file}"))?;
    let plan = Plan::parse(&text)?;
    Ok(match command {
        "order" => plan.order()?.join("\n"),
        "times" => {
            let lines: Vec<String> = plan.times()?.iter().map(|(n, start, end)| format!("{n} {start} {end}")).collect();
            lines.join("\n")
        }
        "total" => format!("total: {}", plan.total()?),
        "critical" => plan.critical()?.join(" -> "),
        "ready" => names(plan.ready(&rest.iter().cloned().collect())),
        _ => names(plan.users(rest.first().map_or("", String::as_str))),
    })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [command, file, rest @ ..] if COMMANDS.contains(&command.as_str()) => match answer(command, file, rest) {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(message) => {
                eprintln!("error: {message}");
                ExitCode::from(1)
            }
        },
        _ => {
            eprintln!("usage: sched {} FILE [NAME ...]", COMMANDS.join("|"));
            ExitCode::from(2)
        }
    }
}
