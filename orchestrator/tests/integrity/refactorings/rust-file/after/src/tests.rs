use super::*;

#[test]
fn r1_deposit() {
    let mut bank = Bank::default();
    assert_eq!(bank.deposit("ann", 5), 5);
    assert_eq!(bank.deposit("ann", 2), 7);
}

#[test]
fn r2_withdraw() {
    let mut bank = Bank::default();
    bank.deposit("ann", 5);
    assert_eq!(bank.withdraw("ann", 2), Ok(3));
    assert_eq!(bank.withdraw("ann", 9), Err(Error::TooLittle));
    assert_eq!(bank.withdraw("bob", 1), Err(Error::Unknown));
}

#[test]
fn r3_names() {
    let mut bank = Bank::default();
    bank.deposit("bob", 1);
    bank.deposit("ann", 1);
    assert_eq!(bank.names(), ["ann", "bob"]);
}

#[test]
fn r4_cents() {
    assert_eq!(cents("1.50"), Some(150));
    assert_eq!(cents("x"), None);
}
