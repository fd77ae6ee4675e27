//! The HTTP front of a host: sends a hostname and a path to the tasks of the active release.
