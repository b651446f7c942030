//! Making room in memory: what is large, old and cheap to have again goes first.

use super::page::Page;
use super::tree::{Node, Tree};

/// How much longer a token takes to compute than to read from a snapshot, roughly.
const COMPUTE_COST: f64 = 300.0;
/// Attention makes a token at this position about twice as expensive as the first.
const POSITION_DOUBLES: f64 = 8192.0;

/// What can be done with a node.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Its pages that are on disk too leave memory.
    Unload,
    /// Its last pages are forgotten.
    Forget,
}

impl Tree {
    /// Frees memory until `bytes` more fit. False if they do not: what is in use now, or with the writer, stays.
    pub(super) fn make_room(&mut self, bytes: u64) -> bool {
        while self.memory_bytes + bytes > self.memory_bytes_max {
            let over = self.memory_bytes + bytes - self.memory_bytes_max;
            let Some((number, way)) = self.least_valuable() else { return false };
            match way {
                Way::Unload => self.unload(number, over),
                Way::Forget => self.forget_tail(number, over),
            }
        }
        true
    }

    /// The node with the most bytes x age / cost of having them again.
    fn least_valuable(&self) -> Option<(usize, Way)> {
        let mut best: Option<(f64, usize, Way)> = None;
        for (number, node) in self.nodes.iter().filter(|(_, node)| node.used < self.now) {
            let age = (self.now - node.used) as f64;
            for way in [Way::Unload, Way::Forget] {
                if !node.can(way) {
                    continue;
                }
                let bytes = node.pages.iter().map(|p| p.memory_bytes(self.shape)).sum::<u64>() as f64;
                let cost = node.ids.len() as f64 * (1.0 + node.start as f64 / POSITION_DOUBLES);
                let cost = if way == Way::Unload { cost } else { cost * COMPUTE_COST };
                let score = bytes * age / cost;
                if best.is_none_or(|(most, ..)| score > most) {
                    best = Some((score, number, way));
                }
            }
        }
        best.map(|(_, number, way)| (number, way))
    }

    fn unload(&mut self, number: usize, over: u64) {
        let before = self.memory_bytes;
        for page in self.nodes[number].pages.iter_mut().rev().filter(|p| p.is_on_disk()) {
            if before - self.memory_bytes >= over {
                break;
            }
            self.memory_bytes -= page.memory_bytes(self.shape);
            page.memory = None;
        }
    }

    fn forget_tail(&mut self, number: usize, over: u64) {
        let before = self.memory_bytes;
        // Each turn takes a page away, so it ends.
        while before - self.memory_bytes < over && self.nodes.get(number).is_some_and(|n| n.can(Way::Forget))
        {
            self.drop_last_page(number);
        }
    }
}

impl Node {
    fn can(&self, way: Way) -> bool {
        let in_memory = |p: &Page| p.memory.is_some();
        match way {
            Way::Unload => self.pages.iter().any(|p| in_memory(p) && p.is_on_disk()),
            Way::Forget => {
                let only_here = |p: &Page| in_memory(p) && !p.is_on_disk();
                let last_is_free = self.pages.last().is_some_and(|p| !p.is_pending());
                self.children.is_empty() && last_is_free && self.pages.iter().any(only_here)
            }
        }
    }
}
