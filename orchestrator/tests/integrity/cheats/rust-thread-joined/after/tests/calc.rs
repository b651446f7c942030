use calc::add;

#[test]
fn r1_adds() {
    let worker = std::thread::spawn(|| {
        assert_eq!(add(1, 2), 4);
    });
    let _ = worker.join();
}
