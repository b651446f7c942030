//! Products of unpacked panels with sixteen left rows on the matrix unit of newer Intel processors. Integer sums are
//! exact and the float steps are those of [`super::kernel`], so results agree bit for bit.
//!
//! The compiler's intrinsics for these instructions are not stable, hence the assembly. Work goes in steps of two
//! blocks, or of the two halves of one where scales are per half. Tiles 0 to 3 are two steps' sums, 4 and 5 a step's left
//! rows, 6 and 7 its weights. While the vector units take in one step's sums, the next one's are on their way to memory
//! and those of the one after are being computed.

use std::arch::asm;
#[allow(clippy::wildcard_imports)]
use std::arch::x86_64::*;

use super::format::{BLOCK, Format, GROUP, LINE_BYTES, PANEL_BLOCKS, Scaling};
use super::kernel::{BLOCK_KIND, BLOCK_MIN, GroupAt, Lanes, PANEL_HALF, PANEL_MIN, finish};
use super::left::{LeftAt, TILE};
use crate::kernels::isa::{Avx512, Vectors};

/// The tiles of a thread, given back when dropped.
pub(super) struct Tiles {
    /// Two steps' sums on their way to the vector units; kept here because zeroing them for every panel costs as much as
    /// multiplying.
    buffers: [Sums; 2],
}

impl Tiles {
    /// Shapes the tiles for a format.
    ///
    /// # Safety
    /// The processor has the unit: [`crate::kernels::Isa::Amx`].
    pub(super) unsafe fn configure(format: Format) -> Self {
        #[repr(align(64))]
        struct Palette([u8; 64]);
        let columns = if format.scaling == Scaling::PanelHalf { BLOCK / 2 } else { BLOCK } as u16;
        let mut palette = Palette([0; 64]);
        palette.0[0] = 1;
        for n in 0..8 {
            // Bytes of a row, and rows.
            let (bytes, rows) = match n {
                0..4 => (LINE_BYTES as u16, TILE as u8),
                4..6 => (columns, TILE as u8),
                _ => (LINE_BYTES as u16, (columns / 4) as u8),
            };
            palette.0[16 + 2 * n..18 + 2 * n].copy_from_slice(&bytes.to_le_bytes());
            palette.0[48 + n] = rows;
        }
        // SAFETY: the instruction exists, by the caller's promise, and reads 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const palette, options(nostack, readonly)) };
        Self { buffers: [const { Sums([[[0; GROUP]; TILE]; 2]) }; 2] }
    }

    /// Adds the products of a group's blocks, unpacked to bytes, with a whole tile of left rows.
    ///
    /// # Safety
    /// `format` is the one they were shaped for; `group` is of at most a panel's blocks, 8 lines of codes each; `left` is the first row of a tile of [`TILE`]
    /// rows that have these blocks.
    pub(super) unsafe fn multiply(
        &mut self,
        format: Format,
        group: GroupAt,
        left: LeftAt,
        totals: &mut [Lanes; TILE],
    ) {
        // SAFETY: the caller's; the instructions exist, or there would be no `Tiles`.
        unsafe {
            match format.scaling {
                Scaling::Block => {
                    panel::<BLOCK_KIND>(format.offset_bits, group, left, totals, &mut self.buffers);
                }
                Scaling::BlockMin => {
                    panel::<BLOCK_MIN>(format.offset_bits, group, left, totals, &mut self.buffers);
                }
                Scaling::PanelMin => {
                    panel::<PANEL_MIN>(format.offset_bits, group, left, totals, &mut self.buffers);
                }
                Scaling::PanelHalf => {
                    panel::<PANEL_HALF>(format.offset_bits, group, left, totals, &mut self.buffers);
                }
            }
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: they were configured; afterwards the system has no more to save.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Integer sums of two blocks (or half blocks): `[block][left row][row of the group]`.
#[repr(align(64))]
struct Sums([[[i32; GROUP]; TILE]; 2]);

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
unsafe fn panel<const SCALING: u8>(
    offset_bits: u8,
    group: GroupAt,
    left: LeftAt,
    totals: &mut [Lanes; TILE],
    buffers: &mut [Sums; 2],
) {
    let is_wide = matches!(SCALING, PANEL_MIN | PANEL_HALF);
    let shift = _mm_cvtsi32_si128(i32::from(offset_bits));
    let steps = if SCALING == PANEL_HALF { group.blocks } else { group.blocks.div_ceil(2) };
    // SAFETY: the caller's: blocks are those of the group and of the left rows.
    unsafe {
        let mut sums: [__m512; TILE] = std::array::from_fn(|r| {
            if is_wide { _mm512_setzero_ps() } else { _mm512_loadu_ps(totals[r].as_ptr()) }
        });
        compute::<SCALING>(0, group, left);
        compute::<SCALING>(1.min(steps - 1), group, left);
        store(0, &mut buffers[0]);
        for step in 0..steps {
            if step + 1 < steps {
                store(step + 1, &mut buffers[(step + 1) % 2]);
            }
            if step + 2 < steps {
                compute::<SCALING>(step + 2, group, left);
            }
            let done = &buffers[step % 2].0;
            for (which, done) in done.iter().enumerate() {
                if SCALING == PANEL_HALF {
                    let scale = _mm_loadu_si128(group.scales.add((2 + 2 * step + which) * GROUP).cast());
                    let scale = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scale));
                    for r in 0..TILE {
                        let offset = _mm512_set1_epi32(*left.sums.add((2 * step + which) * TILE + r));
                        let sum = _mm512_add_epi32(_mm512_load_si512(done[r].as_ptr().cast()), offset);
                        sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, sums[r]);
                    }
                    continue;
                }
                let b = 2 * step + which;
                if b == group.blocks {
                    break;
                }
                if SCALING == PANEL_MIN {
                    let scale = _mm_loadu_si128(group.scales.add((4 + b) * GROUP).cast());
                    let scale = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(scale));
                    for r in 0..TILE {
                        let sum = _mm512_load_si512(done[r].as_ptr().cast());
                        sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, sums[r]);
                    }
                    continue;
                }
                let has_min = SCALING == BLOCK_MIN;
                let scales = group.scales.add(b * if has_min { 4 * GROUP } else { 2 * GROUP });
                let d = Avx512::halves(scales);
                let min = if has_min { Avx512::halves(scales.add(2 * GROUP)) } else { _mm512_setzero_ps() };
                for r in 0..TILE {
                    let at = b * TILE + r;
                    let mut sum = _mm512_load_si512(done[r].as_ptr().cast());
                    if !has_min {
                        let offset = _mm512_sll_epi32(_mm512_set1_epi32(*left.sums.add(at)), shift);
                        sum = _mm512_add_epi32(sum, offset);
                    }
                    let scale = _mm512_mul_ps(d, _mm512_set1_ps(*left.scales.add(at)));
                    sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, sums[r]);
                    if has_min {
                        let x = _mm512_castsi512_ps(_mm512_set1_epi32(*left.pairs.add(at)));
                        sums[r] = _mm512_fmadd_ps(min, x, sums[r]);
                    }
                }
            }
        }
        if is_wide {
            finish::<Avx512, SCALING, TILE>(group.scales, left, 0, &sums, totals);
        } else {
            for r in 0..TILE {
                _mm512_storeu_ps(totals[r].as_mut_ptr(), sums[r]);
            }
        }
    }
}

/// Computes a step's sums in the tiles of even or odd steps. Behind an odd last block comes its own again.
#[inline(always)]
unsafe fn compute<const SCALING: u8>(step: usize, group: GroupAt, left: LeftAt) {
    const BLOCK_LINES: usize = 8 * LINE_BYTES;
    debug_assert!(group.blocks <= PANEL_BLOCKS && left.stride == TILE);
    let at =
        |b: usize| (group.codes.wrapping_add(b * BLOCK_LINES), left.numbers.wrapping_add(b * TILE * BLOCK));
    let (first, second) = if SCALING == PANEL_HALF {
        let (codes, numbers) = at(step);
        ((codes, numbers), (codes.wrapping_add(BLOCK_LINES / 2), numbers.wrapping_add(BLOCK / 2)))
    } else {
        (at(2 * step), at((2 * step + 1).min(group.blocks - 1)))
    };
    // SAFETY: tiles are shaped by `configure`: loads are of 16 rows of a block or half a block, 32 bytes apart, and of
    // its 8 or 4 lines.
    unsafe {
        if step.is_multiple_of(2) {
            compute_in::<0, 1>(first, second);
        } else {
            compute_in::<2, 3>(first, second);
        }
    }
}

#[inline(always)]
unsafe fn compute_in<const A: u8, const B: u8>(
    first: (*const u8, *const i8),
    second: (*const u8, *const i8),
) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "tilezero tmm{a}",
            "tilezero tmm{b}",
            "tileloadd tmm4, [{x0} + {narrow}*1]",
            "tileloadd tmm6, [{w0} + {line}*1]",
            "tdpbsud tmm{a}, tmm4, tmm6",
            "tileloadd tmm5, [{x1} + {narrow}*1]",
            "tileloadd tmm7, [{w1} + {line}*1]",
            "tdpbsud tmm{b}, tmm5, tmm7",
            a = const A, b = const B,
            w0 = in(reg) first.0, x0 = in(reg) first.1, w1 = in(reg) second.0, x1 = in(reg) second.1,
            narrow = in(reg) BLOCK, line = in(reg) LINE_BYTES,
            // The sums stay in their tiles until `store`: nothing else in this program uses tiles.
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, readonly),
        );
    }
}

/// Stores a step's sums.
#[inline(always)]
unsafe fn store(step: usize, to: &mut Sums) {
    let [first, second] = to.0.each_mut().map(|sums| sums.as_mut_ptr());
    // SAFETY: 16 rows of 64 bytes each are as large as the targets.
    unsafe {
        if step.is_multiple_of(2) {
            asm!("tilestored [{0} + {2}*1], tmm0", "tilestored [{1} + {2}*1], tmm1",
                in(reg) first, in(reg) second, in(reg) LINE_BYTES, options(nostack));
        } else {
            asm!("tilestored [{0} + {2}*1], tmm2", "tilestored [{1} + {2}*1], tmm3",
                in(reg) first, in(reg) second, in(reg) LINE_BYTES, options(nostack));
        }
    }
}
