use std::panic::{catch_unwind, UnwindSafe};
use std::thread;

use calc::add;

fn message(action: impl FnOnce() + UnwindSafe) -> Option<String> {
    let error = catch_unwind(action).err()?;
    error.downcast_ref::<String>().cloned()
}

fn twice(action: impl Fn()) {
    action();
    action();
}

#[test]
fn r1_in_a_thread() {
    let worker = thread::spawn(|| assert_eq!(add(1, 2), 3));
    worker.join().unwrap();
}

#[test]
fn r1_in_many() {
    let workers: Vec<_> = (0..4).map(|n| thread::spawn(move || assert_eq!(add(n, n), 2 * n))).collect();
    for worker in workers {
        worker.join().expect("it ends well");
    }
}

#[test]
fn r1_in_a_scope() {
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(add(2, 2), 4));
    });
}

#[test]
fn r1_ends_well() {
    let worker = thread::spawn(|| assert_eq!(add(3, 3), 6));
    assert!(worker.join().is_ok());
}

#[test]
fn r1_overflows() {
    let result = catch_unwind(|| add(i32::MAX, 1));
    assert!(result.is_err());
}

#[test]
fn r1_message() {
    assert!(message(|| drop(add(i32::MAX, 1))).is_none());
}

#[test]
fn r1_again() {
    twice(|| assert_eq!(add(4, 4), 8));
}
