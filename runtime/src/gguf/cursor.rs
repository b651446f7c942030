//! A reader of little-endian values that never goes past its end.

use crate::error::Error;

pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let end = self.position.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| Error::BadGguf("the header breaks off".to_owned()))?;
        let taken = &self.bytes[self.position..end];
        self.position = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of `what`, refused above `max` before anything is allocated for it.
    pub(super) fn count(&mut self, what: &str, max: u64) -> Result<u64, Error> {
        let count = self.u64()?;
        if count > max {
            return Err(Error::BadGguf(format!("{count} {what} are over the limit of {max}")));
        }
        Ok(count)
    }

    pub(super) fn string(&mut self, bytes_max: u64) -> Result<String, Error> {
        let len = self.count("bytes of a string", bytes_max)?;
        let bytes = self.take(len as usize)?;
        // Some converters cut descriptions inside a character; no key that matters is affected.
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}
