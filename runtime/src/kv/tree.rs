//! The radix tree over token ids: every remembered sequence is a path from the root, and sequences that begin alike
//! share the nodes, and so the pages, of what they have in common. An edge is split at any token.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use slab::Slab;

use super::page::{Disk, Page, Shape};
use super::sequence::common_prefix;
use super::snapshot::{Id, Snapshot};

/// A node and the edge that leads to it.
#[derive(Debug)]
pub(super) struct Node {
    /// The node above; the root is its own.
    pub parent: usize,
    /// Position of the edge's first token.
    pub start: usize,
    /// The edge's tokens.
    pub ids: Vec<u32>,
    /// Their rows, in order.
    pub pages: Vec<Page>,
    /// By the first token of their edges.
    pub children: BTreeMap<u32, usize>,
    /// When a request last went through here, in requests.
    pub used: u64,
}

/// All remembered sequences.
#[derive(Debug)]
pub(super) struct Tree {
    pub nodes: Slab<Node>,
    pub root: usize,
    pub shape: Shape,
    /// Bytes of all pages in memory.
    pub memory_bytes: u64,
    /// What they may be at most.
    pub memory_bytes_max: u64,
    /// Requests so far; the clock of `used`. Nodes used now are not evicted.
    pub now: u64,
}

/// How far a sequence is remembered.
#[derive(Debug)]
pub(super) struct Walk {
    /// Tokens that are.
    pub matched: usize,
    /// Whether what is remembered goes on there, with another token where the sequence goes on too.
    pub goes_on: bool,
    /// The nodes below the root; the last may be matched in part.
    path: Vec<usize>,
}

/// A page, or a part of one, that a range of positions needs.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub page: &'a Page,
    /// Its rows that are meant.
    pub rows: Range<usize>,
}

impl Tree {
    pub(super) fn new(shape: Shape, memory_bytes_max: u64) -> Self {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::below(0, 0, 0));
        Self { nodes, root, shape, memory_bytes: 0, memory_bytes_max, now: 0 }
    }

    /// Follows `ids`, token by token, as far as they are remembered.
    pub(super) fn find(&self, ids: &[u32]) -> Walk {
        let mut walk = Walk { matched: 0, goes_on: false, path: Vec::new() };
        let mut node = &self.nodes[self.root];
        while let Some(next) = ids.get(walk.matched) {
            let Some(&child) = node.children.get(next) else {
                walk.goes_on = !node.children.is_empty();
                break;
            };
            node = &self.nodes[child];
            let common = common_prefix(&node.ids, &ids[walk.matched..]);
            walk.matched += common;
            walk.path.push(child);
            if common < node.ids.len() {
                walk.goes_on = walk.matched < ids.len();
                break;
            }
        }
        walk
    }

    /// Marks what was walked as used now.
    pub(super) fn touch(&mut self, walk: &Walk) {
        for node in &walk.path {
            self.nodes[*node].used = self.now;
        }
    }

    /// The pages of the positions from `from` to the end of what was walked.
    pub(super) fn pieces(&self, walk: &Walk, from: usize) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        for node in walk.path.iter().map(|n| &self.nodes[*n]) {
            let mut at = node.start;
            for page in &node.pages {
                let rows =
                    from.saturating_sub(at).min(page.rows)..walk.matched.saturating_sub(at).min(page.rows);
                at += page.rows;
                if !rows.is_empty() {
                    pieces.push(Piece { page, rows });
                }
            }
        }
        pieces
    }

    /// All pages of the nodes that were walked, with the position of their first rows.
    pub(super) fn path_pages(&mut self, walk: &Walk) -> Vec<(usize, &mut Page)> {
        let mut on_path: Vec<_> =
            self.nodes.iter_mut().filter(|(n, _)| walk.path.contains(n)).map(|(_, node)| node).collect();
        on_path.sort_by_key(|node| node.start);
        let mut pages = Vec::new();
        for node in on_path {
            let mut at = node.start;
            for page in &mut node.pages {
                let rows = page.rows;
                pages.push((at, page));
                at += rows;
            }
        }
        pages
    }

    /// The node that ends where the walk ended; one that goes on there is split.
    pub(super) fn end_of(&mut self, walk: &Walk) -> usize {
        let Some(&last) = walk.path.last() else { return self.root };
        let length = walk.matched - self.nodes[last].start;
        if length < self.nodes[last].ids.len() {
            self.split(last, length);
        }
        last
    }

    /// Makes the tokens of a node from `length` on a child of it.
    fn split(&mut self, number: usize, length: usize) {
        let shape = self.shape;
        let node = &mut self.nodes[number];
        let mut lower = Node::below(number, node.start + length, node.used);
        lower.ids = node.ids.split_off(length);
        lower.children = std::mem::take(&mut node.children);
        let (mut keep, mut rows) = (0, 0);
        while keep < node.pages.len() && rows + node.pages[keep].rows <= length {
            rows += node.pages[keep].rows;
            keep += 1;
        }
        let mut rest = node.pages.split_off(keep).into_iter();
        if rows < length
            && let Some(mut first) = rest.next()
        {
            lower.pages.push(first.split_off(length - rows, shape));
            node.pages.push(first);
        }
        lower.pages.extend(rest);
        let first = lower.ids[0];
        let children: Vec<_> = lower.children.values().copied().collect();
        let lower = self.nodes.insert(lower);
        self.nodes[number].children.insert(first, lower);
        for child in children {
            self.nodes[child].parent = lower;
        }
    }

    /// Adds a page and its tokens behind a node and returns the node that has them: the same, if nothing follows it.
    pub(super) fn append(&mut self, tail: usize, ids: &[u32], page: Page) -> usize {
        self.memory_bytes += page.memory_bytes(self.shape);
        let node = &self.nodes[tail];
        let target = if tail == self.root || !node.children.is_empty() {
            let child = Node::below(tail, node.start + node.ids.len(), self.now);
            let child = self.nodes.insert(child);
            self.nodes[tail].children.insert(ids[0], child);
            child
        } else {
            tail
        };
        self.nodes[target].ids.extend_from_slice(ids);
        self.nodes[target].pages.push(page);
        target
    }

    /// Takes the last page of a node away, and the node if that was all of it. Nothing may follow the node.
    pub(super) fn drop_last_page(&mut self, number: usize) -> Option<Page> {
        let node = &mut self.nodes[number];
        let page = node.pages.pop()?;
        self.memory_bytes -= page.memory_bytes(self.shape);
        let first = node.ids[0];
        node.ids.truncate(node.ids.len() - page.rows);
        if node.pages.is_empty() {
            let parent = node.parent;
            self.nodes.remove(number);
            self.nodes[parent].children.remove(&first);
        }
        Some(page)
    }

    /// Takes the last page of the path away if it has room for more rows and no copy on disk, so that it can be
    /// stored again, fuller. Returns where the path ends then, and its end.
    pub(super) fn reopen_last_page(&mut self, tail: usize, end: usize) -> (usize, usize) {
        let node = &self.nodes[tail];
        let full = end.is_multiple_of(super::page::PAGE_TOKENS);
        let open = node.children.is_empty()
            && node
                .pages
                .last()
                .is_some_and(|p| !full && p.memory.is_some() && matches!(p.disk, Disk::Nowhere));
        if !open {
            return (tail, end);
        }
        let (parent, alone) = (node.parent, node.pages.len() == 1);
        let rows = self.drop_last_page(tail).map_or(0, |p| p.rows);
        (if alone { parent } else { tail }, end - rows)
    }

    /// Remembers the tokens of a snapshot, if what comes before them is remembered.
    pub(super) fn attach(&mut self, ids: &[u32], snapshot: &Arc<Snapshot>) -> bool {
        let walk = self.find(ids);
        if walk.matched < snapshot.start {
            return false;
        }
        let mut tail = self.end_of(&walk);
        let mut at = snapshot.start;
        for (index, stored) in snapshot.pages.iter().enumerate() {
            let offset = walk.matched.saturating_sub(at).min(stored.rows);
            let rows = stored.rows - offset;
            if rows > 0 {
                let disk = Disk::At { snapshot: Arc::clone(snapshot), index, offset };
                let page = Page { rows, memory: None, disk };
                tail = self.append(tail, &ids[at + offset..at + stored.rows], page);
            }
            at += stored.rows;
        }
        true
    }

    /// The writer's answer: where the pages it was given are now, if anywhere.
    pub(super) fn settle(&mut self, answered: Id, written: Option<&Arc<Snapshot>>) {
        for page in self.nodes.iter_mut().flat_map(|(_, node)| &mut node.pages) {
            if let Disk::Pending { id, index, offset } = page.disk
                && id == answered
            {
                page.disk =
                    written.map_or(Disk::Nowhere, |s| Disk::At { snapshot: Arc::clone(s), index, offset });
            }
        }
    }

    /// Forgets that a snapshot exists, and with it all tokens that are nowhere else, and what follows them.
    pub(super) fn forget(&mut self, gone: Id) {
        let mut cuts = Vec::new();
        for (number, node) in &mut self.nodes {
            for page in &mut node.pages {
                if matches!(&page.disk, Disk::At { snapshot, .. } if snapshot.id == gone) {
                    page.disk = Disk::Nowhere;
                }
            }
            let lost = |p: &Page| p.memory.is_none() && matches!(p.disk, Disk::Nowhere);
            if let Some(keep) = node.pages.iter().position(lost) {
                cuts.push((number, node.start, keep));
            }
        }
        // What is deepest first: a cut removes all nodes below.
        cuts.sort_by_key(|(_, start, _)| std::cmp::Reverse(*start));
        for (number, _, keep) in cuts {
            self.remove_below(number);
            while self.nodes.get(number).is_some_and(|node| node.pages.len() > keep) {
                self.drop_last_page(number);
            }
        }
    }

    fn remove_below(&mut self, number: usize) {
        let mut open: Vec<_> = std::mem::take(&mut self.nodes[number].children).into_values().collect();
        while let Some(next) = open.pop() {
            let node = self.nodes.remove(next);
            self.memory_bytes -= node.pages.iter().map(|p| p.memory_bytes(self.shape)).sum::<u64>();
            open.extend(node.children.into_values());
        }
    }

    /// Tokens that are remembered, each counted once.
    #[cfg(test)]
    pub(super) fn tokens(&self) -> usize {
        self.nodes.iter().map(|(_, node)| node.ids.len()).sum()
    }

    /// Panics unless every count and link is as it should be.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let (mut bytes, mut reachable) = (0, 0);
        let mut open = vec![self.root];
        while let Some(number) = open.pop() {
            reachable += 1;
            let node = &self.nodes[number];
            assert_eq!(node.ids.len(), node.pages.iter().map(|p| p.rows).sum::<usize>());
            let mut at = node.start;
            for page in &node.pages {
                bytes += page.memory_bytes(self.shape);
                assert!(page.rows > 0 && page.rows <= super::page::PAGE_TOKENS);
                assert!(page.memory.is_some() || page.is_on_disk(), "a page is somewhere");
                let whole = page.rows * self.shape.token_bytes() as usize;
                assert!(page.memory.as_ref().is_none_or(|m| m.len() == whole));
                let boundary = at / super::page::PAGE_TOKENS;
                at += page.rows;
                assert_eq!(boundary, (at - 1) / super::page::PAGE_TOKENS, "no page crosses a boundary");
            }
            for (first, child) in &node.children {
                let below = &self.nodes[*child];
                assert_eq!(below.ids.first(), Some(first));
                assert_eq!((below.parent, below.start), (number, at));
                open.push(*child);
            }
        }
        assert_eq!(reachable, self.nodes.len(), "no node is lost");
        assert_eq!(bytes, self.memory_bytes, "used is what is there");
        assert!(bytes <= self.memory_bytes_max);
    }
}

impl Node {
    fn below(parent: usize, start: usize, used: u64) -> Self {
        Self { parent, start, ids: Vec::new(), pages: Vec::new(), children: BTreeMap::new(), used }
    }
}
