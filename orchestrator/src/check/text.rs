//! Output as it is shown: without what differs from run to run, and not too much of it.

use std::sync::LazyLock;

use regex::Regex;

/// Lines of output that are kept for a model and for people.
pub(super) const DETAIL_LINES_MAX: usize = 60;

/// As many lines from a line on as are kept.
pub(super) fn some_lines(text: &str, from: usize) -> String {
    text.lines().skip(from).take(DETAIL_LINES_MAX).collect::<Vec<_>>().join("\n")
}

/// A text without what differs between two runs of the same thing: times, addresses, places of scratch files.
pub(super) fn steady(text: &str) -> String {
    static VOLATILE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"0x[0-9a-fA-F]{6,}", "0x..."),
            (r"\bin \d+(\.\d+)?m?s\b", "in some time"),
            (r"\(\d+(\.\d+)?m?s\)", ""),
            (r"/tmp/[A-Za-z0-9_./-]+", "/tmp/..."),
            (r"(file://)?/project/", ""),
        ]
        .into_iter()
        .filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with)))
        .collect()
    });
    let mut out = text.to_owned();
    for (pattern, with) in VOLATILE.iter() {
        out = pattern.replace_all(&out, *with).into_owned();
    }
    // What a terminal would obey is not passed on.
    out.retain(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    out.trim().to_owned()
}
