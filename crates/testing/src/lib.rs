//! A GitHub and an app to test against, with faults on demand.
