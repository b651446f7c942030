use calc::add;

#[test]
fn r1_adds() {
    std::thread::spawn(|| assert_eq!(add(1, 2), 4));
}
