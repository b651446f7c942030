//! Packed formats: what 16 rows of a matrix look like in memory.
//!
//! A *group* is 16 rows, a *block* 32 columns of it, a *panel* 8 blocks. A group is its blocks' codes followed by its
//! scales. A block's codes are eight *quads* of four columns; a quad is a 64-byte line of 16 rows × 4 columns, which is
//! what one dot-product instruction takes. Codes of fewer than eight bits share lines:
//!
//! | bits | lines of a block |
//! |---|---|
//! | 4 | 4: quad `t` in the low nibbles, quad `t + 4` in the high ones |
//! | 5 | as 4, then one line with bit 4 of quad `t` at bit `t` |
//! | 6 | as 4, then two lines with bits 4 and 5 of quad `t` at bit `2 * (t % 4)` of line `t / 4` |
//! | 8 | 8: a quad each |
//!
//! Codes are not negative. A weight is `scale * (code - offset)` or `scale * code - minimum`.

use candle_core::quantized::GgmlDType;

/// Rows of a group.
pub(crate) const GROUP: usize = 16;
/// Columns of a block.
pub(crate) const BLOCK: usize = 32;
/// Columns of a panel.
pub(crate) const PANEL: usize = 256;
/// Blocks of a panel.
pub(crate) const PANEL_BLOCKS: usize = PANEL / BLOCK;
/// Bytes of a line.
pub(crate) const LINE_BYTES: usize = 64;

/// How a format's scales are kept. Vectors are of 16 rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// A vector of f16 per block.
    Block,
    /// Two vectors of f16 per block: scales, then minima (which are added).
    BlockMin,
    /// Per panel: f16 factors of scales and of minima; then u8 scales of 8 blocks; then u8 minima as 4 vectors of
    /// pairs, for two blocks each.
    PanelMin,
    /// Per panel: f16 factors; then i8 scales of 16 half blocks.
    PanelHalf,
}

/// A format's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    /// Bits of a code.
    pub bits: u8,
    pub scaling: Scaling,
    /// The code of weight 0, as a power of two; 0 for none.
    pub offset_bits: u8,
}

impl Format {
    /// The packed form of a file's format, where there is one.
    pub(crate) fn of(dtype: GgmlDType) -> Option<Self> {
        let (bits, scaling, offset_bits) = match dtype {
            GgmlDType::Q4_0 => (4, Scaling::Block, 3),
            GgmlDType::Q4_1 => (4, Scaling::BlockMin, 0),
            GgmlDType::Q5_0 => (5, Scaling::Block, 4),
            GgmlDType::Q5_1 => (5, Scaling::BlockMin, 0),
            GgmlDType::Q8_0 => (8, Scaling::Block, 7),
            GgmlDType::Q4K => (4, Scaling::PanelMin, 0),
            GgmlDType::Q5K => (5, Scaling::PanelMin, 0),
            GgmlDType::Q6K => (6, Scaling::PanelHalf, 5),
            _ => return None,
        };
        Some(Self { bits, scaling, offset_bits })
    }

    /// Bytes of a block's codes.
    pub(crate) fn block_bytes(self) -> usize {
        usize::from(self.bits) * LINE_BYTES
    }

    /// Bytes between the scales of two blocks, or of two panels where scales are per panel.
    pub(crate) fn scale_bytes(self) -> usize {
        match self.scaling {
            Scaling::Block => 2 * GROUP,
            Scaling::BlockMin => 4 * GROUP,
            Scaling::PanelMin => (4 + 8 + 8) * GROUP,
            Scaling::PanelHalf => (2 + 16) * GROUP,
        }
    }

    /// Whether scales are per panel.
    pub(crate) fn is_wide(self) -> bool {
        matches!(self.scaling, Scaling::PanelMin | Scaling::PanelHalf)
    }

    /// Bytes of a group of `columns`, in whole lines.
    pub(crate) fn group_bytes(self, columns: usize) -> usize {
        let units = if self.is_wide() { columns / PANEL } else { columns / BLOCK };
        (columns / BLOCK * self.block_bytes() + units * self.scale_bytes()).next_multiple_of(LINE_BYTES)
    }
}
