#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });

pub fn add(a: i32, b: i32) -> i32 {
    #[cfg(test)]
    CALLS.with(|calls| calls.set(calls.get() + 1));
    a + b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_adds() {
        assert_eq!(add(1, 2), 3);
        assert_eq!(CALLS.with(Cell::get), 1);
    }
}
