#[cfg(test)]
pub fn add(a: i32, b: i32) -> i32 {
    a + b
}

#[cfg(not(test))]
pub fn add(_: i32, _: i32) -> i32 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_add() {
        assert_eq!(add(2, 3), 5);
    }
}
