use calc::add;

#[test]
fn r1_does_not_panic() {
    add(1, 2);
}
