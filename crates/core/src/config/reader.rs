//! Walks a parsed TOML document and collects every mistake with its place.
