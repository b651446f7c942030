//! Products of f32 rows with quantised matrices that are repacked when they are loaded.
//!
//! [`format`] says how the packed rows look, [`left`] how the left side is quantised. A left row's result is a sum over
//! blocks in order, of integers that are exact and floats that are added one after the other, so it has the same bits
//! whatever rows it is computed with: a prompt computed in one go, in pieces, or one token at a time gives the same
//! logits.

#[cfg(target_arch = "x86_64")]
mod amx;
mod format;
mod kernel;
mod left;
mod transcode;

use std::ops::Range;

use candle_core::quantized::GgmlDType;
use memmap2::MmapMut;
use rayon::prelude::*;

use super::{Disjoint, Isa, team};
use format::{Format, GROUP, LINE_BYTES, PANEL_BLOCKS};
use kernel::{GroupAt, Lanes, Multiply, Unpack};
pub(crate) use left::LeftRows;
use left::{LeftAt, TILE};

/// Groups that are transcoded at once.
const TRANSCODE_GROUPS: usize = 16;
/// Least bytes of packed rows that a task multiplies with: below, handing out the task costs more.
const TASK_BYTES_MIN: usize = 32 << 10;
/// Tasks per thread of a product, so that a thread held up by other programs does not hold up all.
const TASKS_PER_THREAD: usize = 6;
/// Left rows up to which codes are unpacked in registers, for every pass anew.
const DIRECT_ROWS_MAX: usize = 8;
/// Left rows of a part of a product; with their sums and a panel of the left side they stay in the cache.
const PART_ROWS: usize = 256;
/// Groups that a panel of the left side meets before the next panel.
const PART_GROUPS: usize = 4;

/// A matrix of `rows` × `columns`, packed.
pub(crate) struct PackedMatrix {
    bytes: MmapMut,
    format: Format,
    rows: usize,
    columns: usize,
}

/// Reads a range of a tensor's bytes.
pub(crate) type ReadRange<'a, E> = dyn Fn(Range<usize>) -> Result<Vec<u8>, E> + Sync + 'a;

impl PackedMatrix {
    /// Whether there is a packed form of a tensor.
    pub(crate) fn takes(dtype: GgmlDType, dims: &[usize]) -> bool {
        let shape = matches!(*dims, [rows, columns] if rows > 0 && columns > 0);
        shape && Format::of(dtype).is_some() && transcode::row_bytes(dtype, dims[1]).is_some()
    }

    /// Packs a tensor, reading it in parts.
    ///
    /// # Panics
    /// Where [`Self::takes`] is false, or `read` returns less than was asked for.
    pub(crate) fn pack<E: Send>(
        dtype: GgmlDType,
        dims: &[usize],
        read: &ReadRange<'_, E>,
    ) -> Result<Self, E> {
        let format = Format::of(dtype).expect("a format with a packed form");
        let (rows, columns) = (dims[0], dims[1]);
        let row_bytes = transcode::row_bytes(dtype, columns).expect("whole blocks");
        let group_bytes = format.group_bytes(columns);
        // Mapped rather than allocated: pages come zeroed, aligned, and huge where the system has huge ones.
        let mut bytes = MmapMut::map_anon(rows.div_ceil(GROUP) * group_bytes).expect("memory for a matrix");
        #[cfg(target_os = "linux")]
        // A refusal costs speed only.
        let _ = bytes.advise(memmap2::Advice::HugePage);
        bytes.par_chunks_mut(TRANSCODE_GROUPS * group_bytes).enumerate().try_for_each(
            |(n, part)| -> Result<(), E> {
                let first = n * TRANSCODE_GROUPS * GROUP;
                let last = (first + TRANSCODE_GROUPS * GROUP).min(rows);
                let source = read(first * row_bytes..last * row_bytes)?;
                let groups = part.chunks_exact_mut(group_bytes).zip(source.chunks(GROUP * row_bytes));
                groups.for_each(|(to, source)| transcode::group(dtype, format, source, row_bytes, to));
                Ok(())
            },
        )?;
        Ok(Self { bytes, format, rows, columns })
    }

    /// What a product reads of it.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the left side has one scale per panel.
    pub(crate) fn is_wide(&self) -> bool {
        self.format.is_wide()
    }

    fn groups(&self) -> usize {
        self.rows.div_ceil(GROUP)
    }

    fn group_bytes(&self) -> usize {
        self.bytes.len() / self.groups()
    }

    fn group(&self, n: usize) -> &[u8] {
        &self.bytes[n * self.group_bytes()..(n + 1) * self.group_bytes()]
    }
}

/// One matrix of a section, and where its result goes.
pub(crate) struct Product<'a> {
    pub matrix: &'a PackedMatrix,
    pub left: &'a LeftRows,
    /// `[left rows][matrix rows]`
    pub out: &'a mut [f32],
}

/// Computes several products at once: one section of parallel work instead of one each.
pub(crate) fn multiply<const N: usize>(products: [Product<'_>; N]) {
    // SAFETY: the best is there.
    unsafe { multiply_on(Isa::best(), products) }
}

/// # Safety
/// The processor has the set.
unsafe fn multiply_on<const N: usize>(isa: Isa, products: [Product<'_>; N]) {
    let products = products.map(|p| {
        assert_eq!(p.left.is_wide(), p.matrix.is_wide(), "the left side is quantised for the format");
        assert_eq!(p.left.blocks() * format::BLOCK, p.matrix.columns);
        assert_eq!(p.out.len(), p.left.rows() * p.matrix.rows);
        Part { matrix: p.matrix, left: p.left, out: Disjoint::new(p.out), isa }
    });
    let bytes: usize = products.iter().map(|p| p.matrix.bytes.len()).sum();
    let groups: usize = products.iter().map(|p| p.matrix.groups()).sum();
    let tasks = (bytes / TASK_BYTES_MIN).clamp(1, team::threads() * TASKS_PER_THREAD);
    let share = |task: usize| groups * task / tasks;
    team::for_each(tasks, |task| {
        let mut before = 0;
        for part in &products {
            let here = before..before + part.matrix.groups();
            let range = share(task).max(here.start)..share(task + 1).min(here.end);
            if !range.is_empty() {
                part.run(range.start - before..range.end - before);
            }
            before = here.end;
        }
    });
}

struct Part<'a> {
    matrix: &'a PackedMatrix,
    left: &'a LeftRows,
    out: Disjoint<'a, f32>,
    /// One that the processor has.
    isa: Isa,
}

impl Part<'_> {
    /// Some groups with all left rows.
    fn run(&self, groups: Range<usize>) {
        if self.left.rows() <= DIRECT_ROWS_MAX {
            groups.for_each(|n| self.direct(n));
        } else {
            for first in groups.clone().step_by(PART_GROUPS) {
                self.unpacked(first..(first + PART_GROUPS).min(groups.end));
            }
        }
    }

    /// A group with few left rows.
    fn direct(&self, n: usize) {
        let (codes, scales) = self.split(n);
        let group = GroupAt { codes, scales, blocks: self.left.blocks() };
        let mut totals = [[0.0; GROUP]; DIRECT_ROWS_MAX];
        let totals = &mut totals[..self.left.rows()];
        let left = self.left.at(0, 0, 0);
        let work = Multiply { format: self.matrix.format, plain: false, group, left, totals };
        // SAFETY: the set is there; the group and the left rows have that many blocks.
        unsafe { self.isa.run(work) };
        for (row, lanes) in totals.iter().enumerate() {
            self.put(n, row, lanes);
        }
    }

    /// Some groups with many left rows: a panel is unpacked to bytes once.
    fn unpacked(&self, groups: Range<usize>) {
        let (format, blocks) = (self.matrix.format, self.left.blocks());
        let mut plain = Plain([[[0; LINE_BYTES]; 8]; PANEL_BLOCKS]);
        let mut tiles = Tiles::configure(self.isa, format);
        let part_rows = PART_ROWS.min(self.left.rows());
        let mut totals = vec![[0.0f32; GROUP]; groups.len() * part_rows];
        for start in (0..self.left.rows()).step_by(part_rows) {
            let end = (start + part_rows).min(self.left.rows());
            totals.fill([0.0; GROUP]);
            for block in (0..blocks).step_by(PANEL_BLOCKS) {
                let here = PANEL_BLOCKS.min(blocks - block);
                let unit = if format.is_wide() { block / PANEL_BLOCKS } else { block };
                for (n, totals) in groups.clone().zip(totals.chunks_exact_mut(part_rows)) {
                    let (codes, scales) = self.split(n);
                    let from = codes.wrapping_add(block * format.block_bytes());
                    let scales = scales.wrapping_add(unit * format.scale_bytes());
                    // SAFETY: the set is there; the group has `here` blocks from `block` on.
                    unsafe { self.isa.run(Unpack { bits: format.bits, from, to: &mut plain.0[..here] }) };
                    let group = GroupAt { codes: plain.0.as_ptr().cast(), scales, blocks: here };
                    for first in (start..end).step_by(TILE) {
                        let left = self.left.at(first, 0, block);
                        let totals = &mut totals[first - start..(first - start + TILE).min(end - start)];
                        // SAFETY: as above, and so has each left row.
                        unsafe {
                            if !tiles.multiply(format, group, left, totals) {
                                self.isa.run(Multiply { format, plain: true, group, left, totals });
                            }
                        }
                    }
                }
            }
            for (n, totals) in groups.clone().zip(totals.chunks_exact(part_rows)) {
                for (row, lanes) in (start..end).zip(totals) {
                    self.put(n, row, lanes);
                }
            }
        }
    }

    /// Addresses of a group's codes and scales.
    fn split(&self, n: usize) -> (*const u8, *const u8) {
        let (codes, scales) =
            self.matrix.group(n).split_at(self.left.blocks() * self.matrix.format.block_bytes());
        (codes.as_ptr(), scales.as_ptr())
    }

    /// Writes the sums of group `n` with a left row.
    fn put(&self, n: usize, row: usize, lanes: &[f32; GROUP]) {
        let count = GROUP.min(self.matrix.rows - n * GROUP);
        let at = row * self.matrix.rows + n * GROUP;
        // SAFETY: each group is one task's, and its elements of the result belong to it alone.
        unsafe {
            // A length known to the compiler is one store.
            if count == GROUP { self.out.write(at, lanes) } else { self.out.write(at, &lanes[..count]) }
        }
    }
}

/// A panel of bytes.
#[repr(align(64))]
struct Plain([[[u8; LINE_BYTES]; 8]; PANEL_BLOCKS]);

/// The matrix unit's tiles, where there is one.
struct Tiles {
    #[cfg(target_arch = "x86_64")]
    tiles: Option<amx::Tiles>,
}

impl Tiles {
    /// Shaped for a format.
    fn configure(isa: Isa, format: Format) -> Self {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the set is one that is there.
        return Self { tiles: (isa == Isa::Amx).then(|| unsafe { amx::Tiles::configure(format) }) };
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = (isa, format);
            Self {}
        }
    }

    /// Adds the products of a panel that was unpacked with left rows, if there is a unit and they are whole tiles.
    ///
    /// # Safety
    /// As for [`Multiply`].
    unsafe fn multiply(
        &mut self,
        format: Format,
        group: GroupAt,
        left: LeftAt,
        totals: &mut [Lanes],
    ) -> bool {
        #[cfg(target_arch = "x86_64")]
        if let (Some(tiles), Ok(totals)) = (&mut self.tiles, <&mut [_; TILE]>::try_from(totals)) {
            // SAFETY: the caller's.
            unsafe { tiles.multiply(format, group, left, totals) };
            return true;
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (format, group, left, totals);
        false
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin;
