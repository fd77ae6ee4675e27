//! Observes Docker hosts, executes one step at a time, and speaks to gateways.
