use std::process::{Command, Output};

fn run(text: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bank")).arg(text).output().unwrap()
}

#[test]
fn prints_cents() {
    assert_eq!(run("1.50").stdout, b"150\n");
}

#[test]
fn refuses_words() {
    assert_eq!(run("x").status.code(), Some(2));
}
