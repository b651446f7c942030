//! Which domain a task is for, where the person did not say.

/// Words that only prose is asked for with.
const PROSE: [&str; 12] = [
    "book",
    "novel",
    "novella",
    "chapter",
    "chapters",
    "story",
    "memoir",
    "essay",
    "handbook",
    "guidebook",
    "textbook",
    "cookbook",
];
/// Words that programs are asked for with; one of them outweighs prose ("an app for book lists").
const CODE: [&str; 30] = [
    "app",
    "api",
    "cli",
    "command-line",
    "program",
    "script",
    "library",
    "server",
    "service",
    "website",
    "tests",
    "function",
    "class",
    "module",
    "package",
    "tool",
    "python",
    "javascript",
    "typescript",
    "rust",
    "go",
    "node",
    "json",
    "sqlite",
    "http",
    "parser",
    "converter",
    "calculator",
    "game",
    "shortener",
];

/// `book` for prose, `codebase` otherwise. A guess, made the same way every time and shown to the person.
pub fn domain_of(task: &str) -> &'static str {
    let lower = task.to_lowercase();
    let words: Vec<_> = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '-'))
        .flat_map(|w| w.split('-').chain(std::iter::once(w)))
        .collect();
    let has = |list: &[&str]| words.iter().any(|w| list.contains(w));
    if has(&PROSE) && !has(&CODE) { "book" } else { "codebase" }
}

#[cfg(test)]
mod tests {
    use super::domain_of;

    #[test]
    fn tasks_people_give() {
        for (task, domain) in [
            ("A twelve-chapter book on sourdough", "book"),
            ("A short story about a lighthouse keeper", "book"),
            ("A URL shortener with accounts and analytics", "codebase"),
            ("A command-line app in Python that lists my books by chapter", "codebase"),
            ("A todo list", "codebase"),
        ] {
            assert_eq!(domain_of(task), domain, "{task}");
        }
    }
}
