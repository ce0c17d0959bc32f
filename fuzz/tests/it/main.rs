//! Every input in the corpora, replayed by `cargo test`.

#[cfg(test)]
mod corpora;
