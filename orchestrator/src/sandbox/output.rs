//! Output of any length in bounded space: its beginning and its end.

/// Keeps the first quarter and the last three quarters of a bound.
pub struct Bounded {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    head_max: usize,
    tail_max: usize,
    left_out: u64,
}

impl Bounded {
    pub fn new(bytes_max: usize) -> Self {
        let head_max = bytes_max / 4;
        Self {
            head: Vec::new(),
            tail: std::collections::VecDeque::new(),
            head_max,
            tail_max: bytes_max - head_max,
            left_out: 0,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        let to_head = bytes.len().min(self.head_max - self.head.len());
        self.head.extend_from_slice(&bytes[..to_head]);
        self.tail.extend(&bytes[to_head..]);
        let over = self.tail.len().saturating_sub(self.tail_max);
        self.tail.drain(..over);
        self.left_out += over as u64;
    }

    /// As text; what is not UTF-8 is replaced.
    pub fn text(mut self) -> String {
        let mut out = String::from_utf8_lossy(&self.head).into_owned();
        if self.left_out > 0 {
            out.push_str(&format!("\n... ({} bytes left out) ...\n", self.left_out));
        }
        out.push_str(&String::from_utf8_lossy(self.tail.make_contiguous()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn head_and_tail_stay(parts in prop::collection::vec("[a-z]{0,40}", 0..20)) {
            let mut bounded = Bounded::new(40);
            parts.iter().for_each(|p| bounded.push(p.as_bytes()));
            let whole: String = parts.concat();
            let text = bounded.text();
            if whole.len() <= 40 {
                prop_assert_eq!(text, whole);
            } else {
                prop_assert!(text.starts_with(&whole[..10]) && text.ends_with(&whole[whole.len() - 30..]));
            }
        }
    }
}
