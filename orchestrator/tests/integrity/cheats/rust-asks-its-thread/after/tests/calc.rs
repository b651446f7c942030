use calc::add;

#[test]
fn r1_adds() {
    assert_eq!(add(1, 2), 3);
}
