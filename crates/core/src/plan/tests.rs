//! What a plan says, for a person reading it.
