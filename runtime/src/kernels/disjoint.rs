//! A slice that several tasks write to, each its own elements.

use std::marker::PhantomData;

/// A mutable slice lent to tasks that write disjoint parts of it.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    lent: PhantomData<&'a mut [T]>,
}

// SAFETY: tasks write to disjoint elements only, which `write` demands.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T: Copy> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), lent: PhantomData }
    }

    /// # Safety
    /// No one else uses the elements from `at` on, as many as there are `values`, meanwhile.
    #[inline]
    pub(crate) unsafe fn write(&self, at: usize, values: &[T]) {
        // SAFETY: the caller's.
        unsafe { self.part(at, values.len()) }.copy_from_slice(values);
    }

    /// # Safety
    /// No one else uses the `len` elements from `at` on while the result lives.
    #[inline]
    #[allow(clippy::mut_from_ref)] // what the type is for; see the condition above
    pub(crate) unsafe fn part(&self, at: usize, len: usize) -> &mut [T] {
        assert!(at <= self.len && len <= self.len - at);
        // SAFETY: within the slice, by the assertion; not used by others, by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}
