//! Products of packed groups, written once in the vector operations of [`crate::kernels::isa`]. Every set goes the same steps in
//! the same order as the scalar twin of the tests, so results agree bit for bit.

use super::format::{BLOCK, Format, GROUP, LINE_BYTES, PANEL_BLOCKS, Scaling};
use super::left::LeftAt;
use crate::kernels::isa::{Vectors, Work};

/// Sums of the 16 rows of a group with one left row.
pub(super) type Lanes = [f32; GROUP];

/// [`Scaling`] as a parameter of functions.
pub(super) const BLOCK_KIND: u8 = 0;
pub(super) const BLOCK_MIN: u8 = 1;
pub(super) const PANEL_MIN: u8 = 2;
pub(super) const PANEL_HALF: u8 = 3;

/// How codes lie: packed in 4, 5 or 6 bits, as bytes below 64, or as any bytes.
const SMALL_BYTES: u8 = 7;
const BYTES: u8 = 8;

/// How far ahead codes are asked for. Processors look ahead by themselves, but not across pages of 4 KiB, and the codes of
/// a group are some of them.
const AHEAD_BYTES: usize = 2048;

/// Where a group's (or a part's) codes and scales lie.
#[derive(Clone, Copy)]
pub(super) struct GroupAt {
    pub codes: *const u8,
    pub scales: *const u8,
    /// Blocks to go over; whole panels where scales are per panel.
    pub blocks: usize,
}

impl LeftAt {
    /// The row `count` rows further in the same tile, which has it.
    #[inline(always)]
    fn skip(self, count: usize) -> Self {
        Self {
            numbers: self.numbers.wrapping_add(count * BLOCK),
            scales: self.scales.wrapping_add(count),
            sums: self.sums.wrapping_add(count),
            pairs: self.pairs.wrapping_add(count),
            stride: self.stride,
        }
    }
}

/// Adds the products of a group with as many left rows as there are totals.
///
/// Running it is safe where the addresses are those of `group.blocks` blocks in `format` and of as many blocks of rows
/// that exist.
pub(super) struct Multiply<'a> {
    pub format: Format,
    /// The codes are bytes, as [`Unpack`] leaves them.
    pub plain: bool,
    pub group: GroupAt,
    pub left: LeftAt,
    pub totals: &'a mut [Lanes],
}

impl Work for Multiply<'_> {
    type Result = ();

    #[inline(always)]
    unsafe fn run<V: Vectors>(self) {
        let bits = match (self.plain, self.format.bits) {
            (true, bits) if bits < 8 => SMALL_BYTES,
            (_, bits) => bits,
        };
        // SAFETY: the caller's.
        unsafe {
            match (bits, self.format.scaling) {
                (4, Scaling::Block) => self.rows::<V, 4, BLOCK_KIND>(),
                (4, Scaling::BlockMin) => self.rows::<V, 4, BLOCK_MIN>(),
                (4, Scaling::PanelMin) => self.rows::<V, 4, PANEL_MIN>(),
                (5, Scaling::Block) => self.rows::<V, 5, BLOCK_KIND>(),
                (5, Scaling::BlockMin) => self.rows::<V, 5, BLOCK_MIN>(),
                (5, Scaling::PanelMin) => self.rows::<V, 5, PANEL_MIN>(),
                (6, Scaling::PanelHalf) => self.rows::<V, 6, PANEL_HALF>(),
                (SMALL_BYTES, Scaling::Block) => self.rows::<V, SMALL_BYTES, BLOCK_KIND>(),
                (SMALL_BYTES, Scaling::BlockMin) => self.rows::<V, SMALL_BYTES, BLOCK_MIN>(),
                (SMALL_BYTES, Scaling::PanelMin) => self.rows::<V, SMALL_BYTES, PANEL_MIN>(),
                (SMALL_BYTES, Scaling::PanelHalf) => self.rows::<V, SMALL_BYTES, PANEL_HALF>(),
                (BYTES, Scaling::Block) => self.rows::<V, BYTES, BLOCK_KIND>(),
                (bits, scaling) => unreachable!("no format has {bits} bits and {scaling:?}"),
            }
        }
    }
}

impl Multiply<'_> {
    /// Cuts the left rows into passes, whose sums stay in registers.
    #[inline(always)]
    unsafe fn rows<V: Vectors, const BITS: u8, const SCALING: u8>(self) {
        let Self { format, group, left, totals, .. } = self;
        let mut done = 0;
        // SAFETY: the caller's; each pass begins at a row of the tile and has as many as there are totals.
        unsafe {
            while done < totals.len() {
                let (left, rest) = (left.skip(done), &mut totals[done..]);
                done += match rest.len() {
                    8.. if V::ROWS >= 8 => span::<V, BITS, SCALING, 8>(format, group, left, first(rest)),
                    4.. => span::<V, BITS, SCALING, 4>(format, group, left, first(rest)),
                    2.. => span::<V, BITS, SCALING, 2>(format, group, left, first(rest)),
                    _ => span::<V, BITS, SCALING, 1>(format, group, left, first(rest)),
                };
            }
        }
    }
}

/// The first M totals, which are there.
#[inline(always)]
fn first<const M: usize>(totals: &mut [Lanes]) -> &mut [Lanes; M] {
    totals.first_chunk_mut().expect("the caller counted")
}

/// One pass; returns its rows.
#[inline(always)]
unsafe fn span<V: Vectors, const BITS: u8, const SCALING: u8, const M: usize>(
    format: Format,
    group: GroupAt,
    left: LeftAt,
    totals: &mut [Lanes; M],
) -> usize {
    // SAFETY: the caller's.
    unsafe {
        match SCALING {
            BLOCK_KIND | BLOCK_MIN => narrow::<V, BITS, SCALING, M>(format.offset_bits, group, left, totals),
            _ => wide::<V, BITS, SCALING, M>(group, left, totals),
        }
    }
    M
}

/// Formats with scales per block, on both sides.
#[inline(always)]
unsafe fn narrow<V: Vectors, const BITS: u8, const SCALING: u8, const M: usize>(
    offset_bits: u8,
    group: GroupAt,
    left: LeftAt,
    totals: &mut [Lanes; M],
) {
    let has_min = SCALING == BLOCK_MIN;
    let scale_bytes = if has_min { 4 * GROUP } else { 2 * GROUP };
    // SAFETY: the caller's: each address is of block `b` of a group or of a row.
    unsafe {
        let mut sums = [V::splat(0.0); M];
        for r in 0..M {
            sums[r] = V::floats(totals[r].as_ptr());
        }
        for b in 0..group.blocks {
            let codes = codes::<V, BITS>(group, b);
            let at = b * left.stride;
            let mut start = [V::splat_int(0); M];
            if !has_min {
                for r in 0..M {
                    start[r] = V::splat_int(*left.sums.add(at + r) << offset_bits);
                }
            }
            let dots = add_dots::<V, BITS, M>(start, codes, 0..8, left.numbers.add(at * BLOCK));
            let scales = group.scales.add(b * scale_bytes);
            let d = V::halves(scales);
            for r in 0..M {
                let scale = V::multiply(d, V::splat(*left.scales.add(at + r)));
                sums[r] = V::add_product(V::to_floats(dots[r]), scale, sums[r]);
            }
            if has_min {
                let min = V::halves(scales.add(2 * GROUP));
                for r in 0..M {
                    let x = f32::from_bits((*left.pairs.add(at + r)).cast_unsigned());
                    sums[r] = V::add_product(min, V::splat(x), sums[r]);
                }
            }
        }
        for r in 0..M {
            V::store(sums[r], totals[r].as_mut_ptr());
        }
    }
}

/// Formats with integer scales within a panel.
#[inline(always)]
unsafe fn wide<V: Vectors, const BITS: u8, const SCALING: u8, const M: usize>(
    group: GroupAt,
    left: LeftAt,
    totals: &mut [Lanes; M],
) {
    let scale_bytes = if SCALING == PANEL_MIN { 20 * GROUP } else { 18 * GROUP };
    // SAFETY: the caller's: each address is of panel `p` or of a block in it, of a group or of a row.
    unsafe {
        for p in 0..group.blocks / PANEL_BLOCKS {
            let scales = group.scales.add(p * scale_bytes);
            let mut sums = [V::splat(0.0); M];
            for j in 0..PANEL_BLOCKS {
                let b = p * PANEL_BLOCKS + j;
                let codes = codes::<V, BITS>(group, b);
                let numbers = left.numbers.add(b * left.stride * BLOCK);
                if SCALING == PANEL_MIN {
                    let dots = add_dots::<V, BITS, M>([V::splat_int(0); M], codes, 0..8, numbers);
                    let scale = V::unsigned(scales.add((4 + j) * GROUP));
                    for r in 0..M {
                        sums[r] = V::add_product(V::to_floats(dots[r]), scale, sums[r]);
                    }
                } else {
                    for half in 0..2 {
                        let mut start = [V::splat_int(0); M];
                        for r in 0..M {
                            start[r] = V::splat_int(*left.sums.add((2 * b + half) * left.stride + r));
                        }
                        let dots = add_dots::<V, BITS, M>(start, codes, 4 * half..4 * half + 4, numbers);
                        let scale = V::signed(scales.add((2 + 2 * j + half) * GROUP));
                        for r in 0..M {
                            sums[r] = V::add_product(V::to_floats(dots[r]), scale, sums[r]);
                        }
                    }
                }
            }
            finish::<V, SCALING, M>(scales, left, p, &sums, totals);
        }
    }
}

/// Adds a panel's sums to the totals: times the factors of both sides, less the minima.
#[inline(always)]
pub(super) unsafe fn finish<V: Vectors, const SCALING: u8, const M: usize>(
    scales: *const u8,
    left: LeftAt,
    p: usize,
    sums: &[V::Floats; M],
    totals: &mut [Lanes; M],
) {
    // SAFETY: the caller's.
    unsafe {
        let d = V::halves(scales);
        for r in 0..M {
            let x = V::splat(*left.scales.add(p * left.stride + r));
            let mut total = V::floats(totals[r].as_ptr());
            total = V::add_product(sums[r], V::multiply(d, x), total);
            if SCALING == PANEL_MIN {
                let mut min = V::splat_int(0);
                for pair in 0..4 {
                    let with = *left.pairs.add((4 * p + pair) * left.stride + r);
                    let with = [with as i16, (with >> 16) as i16];
                    min = V::add_pairs(min, scales.add((12 + 2 * pair) * GROUP), with);
                }
                let least = V::multiply(V::halves(scales.add(2 * GROUP)), x);
                total = V::take_product(V::to_floats(min), least, total);
            }
            V::store(total, totals[r].as_mut_ptr());
        }
    }
}

/// The codes of a block, and those that come up asked for, behind the matrix's end for what lies there: a hint reads
/// nothing.
#[inline(always)]
unsafe fn codes<V: Vectors, const BITS: u8>(group: GroupAt, block: usize) -> *const u8 {
    let codes = group.codes.wrapping_add(block * lines(BITS) * LINE_BYTES);
    // Unpacked ones were just written.
    if BITS < SMALL_BYTES || BITS == BYTES {
        for line in 0..lines(BITS) {
            // SAFETY: a hint.
            unsafe { V::ask_for(codes.wrapping_add(AHEAD_BYTES + line * LINE_BYTES)) };
        }
    }
    codes
}

/// Lines of a block.
const fn lines(bits: u8) -> usize {
    if bits == SMALL_BYTES { 8 } else { bits as usize }
}

/// Adds the products of some quads of a block with M rows.
#[inline(always)]
unsafe fn add_dots<V: Vectors, const BITS: u8, const M: usize>(
    mut sums: [V::Ints; M],
    codes: *const u8,
    quads: std::ops::Range<usize>,
    numbers: *const i8,
) -> [V::Ints; M] {
    for t in quads.step_by(2) {
        // SAFETY: the caller's: the block has eight quads, and so have the rows.
        unsafe {
            let two = [quad::<V, BITS>(codes, t), quad::<V, BITS>(codes, t + 1)];
            for r in 0..M {
                let numbers = numbers.add(r * BLOCK + 4 * t);
                sums[r] = if BITS == BYTES {
                    V::add_dots_of_bytes(sums[r], two, numbers)
                } else {
                    V::add_dots(sums[r], two, numbers)
                };
            }
        }
    }
    sums
}

/// Quad `t` of a block.
#[inline(always)]
unsafe fn quad<V: Vectors, const BITS: u8>(block: *const u8, t: usize) -> V::Line {
    // SAFETY: the caller's: the block has as many lines as `lines` says.
    unsafe {
        if BITS >= SMALL_BYTES {
            return V::line(block.add(t * LINE_BYTES));
        }
        let both = V::line(block.add(t % 4 * LINE_BYTES));
        let low = V::masked(if t < 4 { both } else { V::down(both, 4) }, 0x0f);
        match BITS {
            5 => V::or(low, V::masked(to_bit_4::<V>(V::line(block.add(4 * LINE_BYTES)), t), 0x10)),
            6 => {
                let high = V::line(block.add((4 + t / 4) * LINE_BYTES));
                V::or(low, V::masked(to_bit_4::<V>(high, t % 4 * 2), 0x30))
            }
            _ => low,
        }
    }
}

/// Moves a bit of every byte to where a code's fifth bit is.
#[inline(always)]
unsafe fn to_bit_4<V: Vectors>(line: V::Line, bit: usize) -> V::Line {
    // SAFETY: the caller's.
    unsafe {
        match bit {
            0..4 => V::up(line, 4 - bit as u32),
            4 => line,
            _ => V::down(line, bit as u32 - 4),
        }
    }
}

/// Unpacks blocks to bytes, eight lines each. Running it is safe where `from` has as many blocks as `to`.
pub(super) struct Unpack<'a> {
    pub bits: u8,
    pub from: *const u8,
    pub to: &'a mut [[[u8; LINE_BYTES]; 8]],
}

impl Work for Unpack<'_> {
    type Result = ();

    #[inline(always)]
    unsafe fn run<V: Vectors>(self) {
        for (b, block) in self.to.iter_mut().enumerate() {
            let from = self.from.wrapping_add(b * usize::from(self.bits) * LINE_BYTES);
            for (t, line) in block.iter_mut().enumerate() {
                // SAFETY: the caller's.
                unsafe {
                    let quad = match self.bits {
                        4 => quad::<V, 4>(from, t),
                        5 => quad::<V, 5>(from, t),
                        6 => quad::<V, 6>(from, t),
                        _ => quad::<V, BYTES>(from, t),
                    };
                    V::store_line(quad, line.as_mut_ptr());
                }
            }
        }
    }
}
