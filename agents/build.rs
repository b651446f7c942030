//! Builds this crate again when a template changes: the macro that embeds them cannot say so itself.

fn main() {
    println!("cargo:rerun-if-changed=../templates");
}
