//! Turning token bytes into text: whole characters only, and nothing of a stop text.

/// Holds back bytes that may still become a character or a stop text.
pub(super) struct StopFilter {
    stops: Vec<Vec<u8>>,
    held: Vec<u8>,
    ready: Vec<u8>,
    ended: bool,
}

impl StopFilter {
    pub(super) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|s| !s.is_empty()).map(|s| s.clone().into_bytes()).collect();
        Self { stops, held: Vec::new(), ready: Vec::new(), ended: false }
    }

    /// Takes the bytes of a token; true when a stop text is complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        if self.ended {
            return true;
        }
        self.held.extend_from_slice(bytes);
        let found = self.stops.iter().filter_map(|s| self.held.windows(s.len()).position(|w| w == s)).min();
        if let Some(at) = found {
            self.held.truncate(at);
            self.ready.append(&mut self.held);
            self.ended = true;
            return true;
        }
        let keep = self.stops.iter().map(|s| partial(&self.held, s)).max().unwrap_or(0);
        let free = self.held.len() - keep;
        self.ready.extend(self.held.drain(..free));
        false
    }

    /// The text that is certain by now.
    pub(super) fn take(&mut self) -> String {
        // A character that is only begun waits, also behind broken bytes.
        let begun = match self.ready.utf8_chunks().last() {
            Some(chunk) if std::str::from_utf8(chunk.invalid()).is_err_and(|e| e.error_len().is_none()) => {
                chunk.invalid().len()
            }
            _ => 0,
        };
        let bytes: Vec<u8> = self.ready.drain(..self.ready.len() - begun).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is left at the end, half characters replaced.
    pub(super) fn finish(mut self) -> String {
        self.ready.append(&mut self.held);
        String::from_utf8_lossy(&self.ready).into_owned()
    }
}

/// How many bytes at the end of `text` begin `stop`.
fn partial(text: &[u8], stop: &[u8]) -> usize {
    (1..stop.len().min(text.len() + 1)).rev().find(|n| text.ends_with(&stop[..*n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::StopFilter;

    fn run(stops: &[&str], tokens: &[&[u8]]) -> (String, bool) {
        let mut filter = StopFilter::new(&stops.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let mut text = String::new();
        for token in tokens {
            let ended = filter.push(token);
            text += &filter.take();
            if ended {
                return (text, true);
            }
        }
        (text + &filter.finish(), false)
    }

    #[test]
    fn stop_texts_across_tokens_are_never_shown() {
        assert_eq!(run(&["END"], &[b"a E", b"N", b"D b"]), ("a ".into(), true));
        assert_eq!(run(&["END"], &[b"a E", b"N", b"d"]), ("a ENd".into(), false));
        assert_eq!(run(&["xx", "xy"], &[b"axy"]), ("a".into(), true));
        assert_eq!(run(&[], &[b"a", b"b"]), ("ab".into(), false));
    }

    #[test]
    fn characters_come_whole() {
        let euro = "€".as_bytes();
        assert_eq!(run(&[], &[&euro[..1], &euro[1..2], &euro[2..]]).0, "€");
        assert_eq!(run(&[], &[&euro[..2]]).0, "\u{fffd}");
        assert_eq!(run(&[], &[&[0xff, euro[0]], &euro[1..]]).0, "\u{fffd}€", "also behind a broken byte");
    }
}
