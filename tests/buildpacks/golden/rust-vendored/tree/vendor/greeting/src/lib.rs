pub fn text() -> &'static str {
    "Hello from Rust\n"
}
