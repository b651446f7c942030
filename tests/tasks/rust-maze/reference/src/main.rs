mod maze;

use std::io::Read;
use std::process::ExitCode;

const COMMANDS: [&str; 6] = ["size", "count", "length", "path", "solve", "reach"];

fn read(name: &str) -> std::io::Result<String> {
    if name != "-" {
        return std::fs::read_to_string(name);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [command, file] = arguments.as_slice() else {
        eprintln!("usage: maze {} FILE", COMMANDS.join("|"));
        return ExitCode::from(2);
    };
    if !COMMANDS.contains(&command.as_str()) {
        eprintln!("usage: maze {} FILE", COMMANDS.join("|"));
        return ExitCode::from(2);
    }
    let parsed = read(file).map_err(|_| format!("cannot read {file}")).and_then(|text| maze::Maze::parse(&text));
    let maze = match parsed {
        Ok(maze) => maze,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let answer = match command.as_str() {
        "size" => Some(format!("{}x{}", maze.size().0, maze.size().1)),
        "count" => Some(format!("walls: {}\nopen: {}", maze.count().0, maze.count().1)),
        "reach" => Some(format!("reachable: {}", maze.reachable())),
        "length" => maze.path().map(|path| format!("shortest: {}", path.len())),
        "path" => maze.path(),
        _ => maze.solved(),
    };
    match answer {
        Some(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        None => {
            println!("no path");
            ExitCode::from(1)
        }
    }
}
