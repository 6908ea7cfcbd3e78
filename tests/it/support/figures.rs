//! The figures that are a test's result, beside whether it passed.

#[expect(clippy::print_stdout, reason = "shown by `cargo test -- --nocapture`")]
pub fn report(text: &str) {
    println!("{text}");
}
