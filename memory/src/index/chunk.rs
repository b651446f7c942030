//! Cutting files into pieces worth retrieving: code at definitions, prose at headings.

use crate::listing::{definition, is_markdown};

/// Most lines of a piece.
pub const CHUNK_LINES_MAX: usize = 60;
/// Fewest lines before a definition starts a new piece; small neighbours stay together.
const CHUNK_LINES_MIN: usize = 8;

/// One piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// First line, from 1.
    pub line_first: u32,
    /// Last line, inclusive.
    pub line_last: u32,
    /// The definition or heading it begins with.
    pub symbol: Option<String>,
    /// Its text.
    pub text: String,
}

/// The pieces of a file, in order, without overlap and without gaps (empty ones aside).
pub fn chunks(path: &str, text: &str) -> Vec<Chunk> {
    let markdown = is_markdown(path);
    let lines: Vec<_> = text.lines().collect();
    let mut starts = vec![0];
    for (number, line) in lines.iter().enumerate().skip(1) {
        let length = number - starts.last().copied().unwrap_or(0);
        let opens = if markdown {
            line.starts_with('#')
        } else {
            definition(line).is_some() && !line.starts_with(' ')
        };
        if (opens && (markdown || length >= CHUNK_LINES_MIN)) || length >= CHUNK_LINES_MAX {
            starts.push(number);
        }
    }
    starts.push(lines.len());
    starts
        .windows(2)
        .filter(|w| lines[w[0]..w[1]].iter().any(|l| !l.trim().is_empty()))
        .map(|w| Chunk {
            line_first: w[0] as u32 + 1,
            line_last: w[1] as u32,
            symbol: lines[w[0]..w[1]].iter().find_map(|l| {
                if markdown {
                    l.strip_prefix('#').map(|h| h.trim_matches(['#', ' ']).to_owned())
                } else {
                    definition(l)
                }
            }),
            text: lines[w[0]..w[1]].join("\n") + "\n",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::chunks;

    #[test]
    fn nothing_is_lost_and_nothing_doubled() {
        let text: String = (0..200)
            .map(|n| if n % 30 == 0 { format!("def f{n}():\n") } else { format!("    x{n}\n") })
            .collect();
        let pieces = chunks("a.py", &text);
        assert_eq!(pieces.iter().map(|c| c.text.as_str()).collect::<String>(), text);
        assert!(pieces.windows(2).all(|w| w[0].line_last + 1 == w[1].line_first));
        assert_eq!(pieces[1].symbol.as_deref(), Some("f30"));
    }

    #[test]
    fn prose_is_cut_at_headings() {
        let pieces = chunks("a.md", "# One\ntext\n## Two\nmore\n");
        assert_eq!(pieces.iter().map(|c| c.symbol.clone().unwrap()).collect::<Vec<_>>(), ["One", "Two"]);
    }
}
